/** Filter patterns of event source mappings (Lambda Developer Guide, "Filter rule syntax"): the part that we use. */

/** @throws RangeError for an operator that is not known here: what a filter does is not to be guessed. */
export function matches(pattern: unknown, event: unknown): boolean {
  if (Array.isArray(pattern)) return pattern.some((rule: unknown) => matchesRule(rule, event));
  if (!isObject(pattern))
    throw new RangeError(`a pattern has objects and arrays: ${JSON.stringify(pattern)}`);
  // Every member is looked at, so that an unknown operator is found whatever the event.
  const matched = Object.entries(pattern).map(([name, inner]) =>
    matches(inner, isObject(event) ? event[name] : undefined),
  );
  return !matched.includes(false);
}

function matchesRule(rule: unknown, value: unknown): boolean {
  if (typeof rule === "string") return value === rule;
  if (isObject(rule)) {
    const [[operator, operand] = [], ...more] = Object.entries(rule);
    if (operator === "prefix" && typeof operand === "string" && more.length === 0)
      return typeof value === "string" && value.startsWith(operand);
  }
  throw new RangeError(`this test cannot do the filter rule ${JSON.stringify(rule)}: teach it`);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
