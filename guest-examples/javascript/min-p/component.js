// Min-p sampling (arXiv:2407.01082), by `step`: a token stays if it is at least `min_p` times as likely as the best
// one, and of those that stay one is drawn.
//
// An interface is an exported object of its name; its resources are classes in it. What a function throws is its error:
// an object with a `tag`, the name of the error's case in WIT, and a `val`, the sentence.

import { parse } from "./parameters.js";

// One request's policy.
class Policy {
  constructor(parameters) {
    this.parameters = parameters;
  }

  static open(params) {
    return new Policy(parse(params));
  }

  maxBacktrack() {
    return 0;
  }

  // Each call on the logits only adds to what the device will compute. Nothing is read, so this is over before the
  // device has the scores. An error that a call throws is the error of `step`.
  step(info, logits) {
    const { min_p, temperature } = this.parameters;
    logits.minP(min_p, 1);
    if (temperature === 0) {
      return { tag: "token", val: logits.argmax() };
    }
    logits.scale(1 / temperature);
    return { tag: "token", val: logits.sample() };
  }

  // There is nothing to save: all that a request knows is its parameters, which `restore` is given again.
  save() {
    return { version: 1, bytes: new Uint8Array() };
  }

  static restore(params, saved) {
    if (saved.version !== 1) {
      throw { tag: "invalid-input", val: `min-p reads saved states of version 1, not ${saved.version}` };
    }
    return Policy.open(params);
  }
}

export const policy = {
  Policy,

  // Not a plan, but what is wrong with the parameters is best said before the first token.
  plan(params) {
    parse(params);
    return null;
  },
};
