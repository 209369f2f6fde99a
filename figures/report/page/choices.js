// What the reader has chosen: one place that all sections listen to.

export class Choices {
  #values;
  #listeners = [];
  #waiting = new Set();

  constructor(values) {
    this.#values = {...values};
  }

  get all() {
    return this.#values;
  }

  /** Changes some; whoever listens to one of them draws anew, once a frame. */
  change(values) {
    Object.assign(this.#values, values);
    if (!this.#waiting.size) requestAnimationFrame(() => this.#tell());
    for (const name of Object.keys(values)) this.#waiting.add(name);
  }

  /** Calls `draw` now, and whenever one of `names` has changed. */
  follow(names, draw) {
    this.#listeners.push([names, draw]);
    draw(this.#values);
  }

  #tell() {
    const changed = this.#waiting;
    this.#waiting = new Set();
    for (const [names, draw] of this.#listeners) {
      if (names.some((name) => changed.has(name))) draw(this.#values);
    }
  }
}
