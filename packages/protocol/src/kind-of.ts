/** Returns the kind of a value for an error message: `null`, `text`, `an array`, `a Date`. It never throws. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  switch (typeof value) {
    case 'undefined':
      return 'undefined'
    case 'string':
      return 'text'
    case 'object':
      return kindOfObject(value)
    default:
      return `a ${typeof value}`
  }
}

function kindOfObject(value: object): string {
  try {
    if (Array.isArray(value)) return 'an array'
    const { constructor } = value as { constructor?: unknown }
    if (typeof constructor !== 'function' || constructor.name === '' || constructor === Object) return 'an object'
    return `${/^[AEIOU]/.test(constructor.name) ? 'an' : 'a'} ${constructor.name}`
  } catch {
    // A getter or a proxy has thrown.
    return 'an object'
  }
}
