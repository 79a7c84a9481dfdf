// oxlint-disable-next-line typescript/no-extraneous-class -- a private field is added by a constructor alone
class Given {
  constructor(object: object) {
    // oxlint-disable-next-line no-constructor-return -- a subclass adds its private field to this object
    return object
  }
}

/**
 * Notes on an object that nobody else can see, as a private field which a constructor adds to it. A WeakMap would do
 * the same, but each of its entries is looked at by every run of the garbage collector: with one or two for each
 * request they cost more than reading a session.
 */
export class Attachment extends Given {
  #note: object

  private constructor(object: object, note: object) {
    super(object)
    this.#note = note
  }

  /** The note on an object; `undefined` if there is none. */
  static of(object: object): object | undefined {
    return #note in object ? object.#note : undefined
  }

  /** Puts a note on an object, in place of the one that was there. */
  static put(object: object, note: object): void {
    if (#note in object) object.#note = note
    else void new Attachment(object, note)
  }
}
