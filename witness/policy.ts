/** A witness's lines for a policy (c2sp.org/tlog-policy), which its operator hands to a log's. */

/**
 * A line for each of its keys, and for both of them a group of which any counts: some logs, Tessera among them, keep one key
 * for a URL, and would wait for the other for ever.
 * @param vkeys its own, as text. @param url its submission prefix.
 */
export function policyLines(name: string, vkeys: readonly string[], url: string): string[] {
  const names = vkeys.map((_, i) => (i === 0 ? name : `${name}-mldsa`));
  const lines = vkeys.map((vkey, i) => `witness ${names[i]} ${vkey} ${url}`);
  return vkeys.length < 2 ? lines : [...lines, `group ${name}-any any ${names.join(" ")}`];
}
