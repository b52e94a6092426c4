// A value on one line with `, ` and `: ` between its elements, as Python spells JSON and models know it.
export function dumps(value) {
  if (Array.isArray(value)) {
    return `[${value.map(dumps).join(", ")}]`;
  }
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value).map(([name, entry]) => `${JSON.stringify(name)}: ${dumps(entry)}`);
    return `{${entries.join(", ")}}`;
  }
  return JSON.stringify(value);
}
