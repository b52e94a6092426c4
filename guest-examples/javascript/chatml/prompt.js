// A prompt while it is written: segments, in which neighbours of one kind are joined and nothing is empty.
export class Prompt {
  segments = [];

  // A special token, by its name.
  control(name) {
    this.segments.push({ tag: "control", val: name });
  }

  // The template's own text.
  trusted(text) {
    this.#add("trusted", text);
  }

  // Text that a caller supplied: a marker written in it stays text.
  untrusted(text) {
    this.#add("untrusted", text);
  }

  #add(tag, text) {
    const last = this.segments.at(-1);
    if (last?.tag === tag) {
      last.val += text;
    } else if (text) {
      this.segments.push({ tag, val: text });
    }
  }
}
