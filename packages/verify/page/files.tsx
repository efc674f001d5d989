/** Where files are given: dropped, or chosen with mouse or keyboard; each with what it was taken for. */
import { useState } from "preact/hooks";
import { FILE_KINDS, type FileKind, type GivenFile, isTooLarge } from "./given.ts";
import { shownName } from "./shown.ts";
import type { Strings } from "./strings/en.ts";

type Props = {
  files: readonly GivenFile[];
  unread: readonly string[];
  strings: Strings;
  onAdd: (files: readonly File[]) => void;
  onKind: (id: number, kind: FileKind) => void;
  /** Without an id: all. */
  onRemove: (id?: number) => void;
};

export function FilesGiven({ files, unread, strings, onAdd, onKind, onRemove }: Props) {
  const words = strings.files;
  const [isOver, setOver] = useState(false);
  const packs = files.filter(({ kind }) => kind === "pack").length;
  return (
    <section class="files" aria-labelledby="files">
      <h2 id="files">{words.title}</h2>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: dropping is a second way in; the field in it is the first */}
      <div
        class={isOver ? "drop over noprint" : "drop noprint"}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          onAdd([...(event.dataTransfer?.files ?? [])]);
        }}
      >
        <p class="strong">{words.drop}</p>
        <input
          id="choose"
          class="unseen"
          type="file"
          multiple
          aria-describedby="choose-hint"
          onChange={(event) => {
            const input = event.currentTarget;
            onAdd([...(input.files ?? [])]);
            input.value = "";
          }}
        />
        <label class="button" for="choose">
          {words.choose}
        </label>
        <p id="choose-hint">{words.hint}</p>
      </div>
      <div role="alert">
        {unread.map((name) => (
          <p class="problem" key={name}>
            {words.unread(shownName(name), words.tooLarge)}
          </p>
        ))}
        {files.filter(isTooLarge).map(({ id, name }) => (
          <p class="problem" key={id}>
            {words.unread(shownName(name), words.beyond)}
          </p>
        ))}
        {packs > 1 && <p class="problem">{words.twoPacks}</p>}
      </div>
      {files.length > 0 && (
        <>
          <h3>{words.list}</h3>
          <ul class="given">
            {files.map((file) => (
              <li key={file.id}>
                <p class="name">{shownName(file.name)}</p>
                <select
                  aria-label={words.taken(shownName(file.name))}
                  value={file.kind}
                  onChange={(event) => {
                    const kind = FILE_KINDS.find((one) => one === event.currentTarget.value);
                    if (kind !== undefined) onKind(file.id, kind);
                  }}
                >
                  {FILE_KINDS.map((kind) => (
                    <option value={kind} key={kind} selected={kind === file.kind}>
                      {words.kinds[kind]}
                    </option>
                  ))}
                </select>
                <button
                  type="button"
                  class="plain noprint"
                  aria-label={words.remove(shownName(file.name))}
                  onClick={() => onRemove(file.id)}
                >
                  {words.removeShort}
                </button>
                <p class="hash">
                  {strings.bytes(file.bytes.length)}, {words.sha256} <code>{file.sha256}</code>
                </p>
              </li>
            ))}
          </ul>
          {files.length > 1 && (
            <p class="noprint">
              <button type="button" class="plain" onClick={() => onRemove()}>
                {words.clear}
              </button>
            </p>
          )}
        </>
      )}
    </section>
  );
}
