/** Creates elements with text only, never with markup, so that the name of a city stays text. */

export const byId = (id) => document.getElementById(id)

/** An HTML element with these properties and children. */
export function html(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties)
  element.append(...children)
  return element
}

/** An SVG element with these attributes and children. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}
