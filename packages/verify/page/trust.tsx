/** The keys that a result rests on: where they are pasted, which they are, and whose word they are. */

import { fingerprint, type Keys, quorumText } from "@kedge/verify/proof/keys";
import { keyLabel, visible } from "@kedge/verify/text";
import type { Vkey } from "@kedge/verify/tlog/note";
import { useId } from "preact/hooks";
import type { GivenTrust } from "./given-trust.ts";
import { shownName } from "./shown.ts";
import type { Strings } from "./strings/en.ts";

/** Characters that are shown of what a key is called, and of a quorum: a policy may come with a pack. */
const MAX_NAME = 256;
const MAX_QUORUM = 1_024;

type Props = {
  trust: GivenTrust;
  text: string;
  onText: (text: string) => void;
  /** Those that came with a pack, where none were given. */
  fromPack: Keys | undefined;
  strings: Strings;
};

export function KeysGiven({ trust, text, onText, fromPack, strings }: Props) {
  const words = strings.keys;
  const isFromPack = !trust.isGiven && fromPack !== undefined;
  const keys = isFromPack ? fromPack : trust;
  return (
    <section class="keys" aria-labelledby="keys">
      <h2 id="keys">{words.title}</h2>
      <div class="noprint">
        <p id="keys-hint">{words.hint}</p>
        <label for="paste">{words.label}</label>
        <textarea
          id="paste"
          rows={5}
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          aria-describedby="keys-hint"
          aria-invalid={trust.malformed !== undefined}
          value={text}
          onInput={(event) => onText(event.currentTarget.value)}
        />
      </div>
      <div role="alert">
        {trust.malformed !== undefined && (
          <p class="problem">{words.malformed(trust.malformed.replace(/\.$/, ""))}</p>
        )}
        {trust.refused.map(({ name, why }) => (
          <p class="problem" key={name}>
            {words.malformedCertificate(shownName(name), why)}
          </p>
        ))}
      </div>
      {trust.leftOut.length > 0 && <p class="note">{words.leftOut(trust.leftOut.map(shownName))}</p>}
      {trust.isGiven || isFromPack ? (
        <KeyList keys={keys} isFromPack={isFromPack} strings={strings} />
      ) : (
        <p>{words.none}</p>
      )}
      {trust.tsaCerts.length > 0 && <p>{words.certificates(trust.tsaCerts.length)}</p>}
      {trust.bitcoinBlocks.length > 0 && <p>{words.blocks(trust.bitcoinBlocks.length)}</p>}
    </section>
  );
}

function KeyList({ keys, isFromPack, strings }: { keys: Keys; isFromPack: boolean; strings: Strings }) {
  const words = strings.keys;
  const id = useId();
  const list: readonly (readonly [string, Vkey])[] = [
    ...keys.logVkeys.map((vkey) => [words.log, vkey] as const),
    ...keys.anchorVkeys.map((vkey) => [words.anchor, vkey] as const),
    ...(keys.policy?.witnesses ?? []).map(({ vkey }) => [words.witness, vkey] as const),
  ];
  return (
    <>
      <h3 id={id}>{isFromPack ? words.fromPack : words.given}</h3>
      {isFromPack && <p class="note">{words.fromPackMeans}</p>}
      <ul class="keylist" aria-labelledby={id}>
        {list.map(([kind, vkey]) => (
          <li key={`${kind} ${fingerprint(vkey)}`}>
            <span>{kind}</span> <code>{visible(keyLabel(vkey), MAX_NAME)}</code>
            <br />
            <span class="small">SHA-256</span> <code>{fingerprint(vkey)}</code>
          </li>
        ))}
      </ul>
      <p class="small">{words.fingerprints}</p>
      {keys.policy !== undefined && <p>{words.quorum(visible(quorumText(keys.policy), MAX_QUORUM))}</p>}
    </>
  );
}
