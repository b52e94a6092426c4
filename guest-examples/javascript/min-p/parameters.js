// What the policy can be told: the largest value of each parameter. A token stays if it is at least `min_p` times as
// likely as the best; the scores of those that stay are divided by `temperature`, and 0 takes the best token.
const MOST = { min_p: 1, temperature: 100 };

// Reads a JSON object such as {"min_p": 0.1, "temperature": 0.8}. Throws an error of invalid input that names the
// parameter that is wrong.
export function parse(params) {
  const fields = Object.entries(JSON.parse(params));
  for (const [name, value] of fields) {
    if (!Object.hasOwn(MOST, name)) {
      throw invalid(`\`${name}\` is not a parameter of this policy; it has min_p and temperature`);
    }
    if (typeof value !== "number" || !(value >= 0 && value <= MOST[name])) {
      throw invalid(`\`${name}\` must be a number from 0 to ${MOST[name]}, not ${JSON.stringify(value)}`);
    }
  }
  return { min_p: 0.1, temperature: 1, ...Object.fromEntries(fields) };
}

function invalid(sentence) {
  return { tag: "invalid-input", val: sentence };
}
