/** The name of a query parameter, decoded. */
export function parameterName(parameter: string): string {
  const name = parameter.split('=', 1)[0]!
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}
