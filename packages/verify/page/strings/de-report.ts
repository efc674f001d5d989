/** What the verifier found, in German: what words.ts of proof/ says in English. No sentence names a command's flag. */
import { VERDICT_WORDS } from "@kedge/verify/proof/verdict-words";
import {
  type AnchoringReport,
  type Caveat,
  kindOf,
  type ShownTimestamp,
  type SignedTime,
  type VerifyFailure,
  type VerifyReport,
} from "@kedge/verify/proof/verify";
import { keyId, keyLabel, quoted } from "@kedge/verify/text";
import type { Vkey } from "@kedge/verify/tlog/note";
import type { Told } from "./en.ts";

export function tellInGerman(report: VerifyReport): Told {
  return {
    statements: statements(report),
    caveats: report.caveats.map(caveat),
    ...(report.failure && { failure: failed(report.failure) }),
  };
}

function statements({ proven, opening, log, anchor, signers, witnesses, ...report }: VerifyReport): string[] {
  if (!proven || log === undefined || signers === undefined) return [];
  const lines = [
    `${opening === undefined ? "Das Commitment" : "Der Datensatz"} steht an Stelle ${log.index} im Log ${log.origin}, dessen ${keys(signers.log)} den Baum von ${log.treeSize} Einträgen signiert hat.`,
  ];
  if (opening !== undefined) {
    lines.push(
      opening.canonicalisation === "raw"
        ? `Er ist Byte für Byte das, worauf man sich festgelegt hat (${opening.mediaType}).`
        : `Sein JSON hat die Werte, auf die man sich festgelegt hat (${opening.mediaType}, RFC 8785). Nicht verglichen: Leerraum, Reihenfolge der Felder, Schreibweise von Zahlen (1.10 ist 1.1).`,
    );
  }
  if (opening?.source !== undefined)
    lines.push(`Festgelegt als Ereignis der Quelle ${quoted(opening.source)}.`);
  if (opening?.sequence !== undefined) {
    lines.push(
      `Festgelegt mit der Nummer ${opening.sequence}, vergeben von dem, der sich festgelegt hat: für sich allein zeigt sie keine Lücke.`,
    );
  }
  if (anchor !== undefined) {
    lines.push(
      `Dieser signierte Baum steht an Stelle ${anchor.index} im öffentlichen Anker-Log ${anchor.origin}, dessen ${keys(signers.anchor)} den Baum von ${anchor.treeSize} Einträgen signiert hat.`,
    );
  }
  if (witnesses !== undefined)
    lines.push(
      `Die von der Policy verlangten Zeugen haben das Anker-Log mitsigniert: ${cosigners(witnesses)}.`,
    );
  for (const timestamp of report.timestamps ?? []) lines.push(stamped(timestamp));
  const latest = latestOf(report.times);
  if (latest !== undefined) lines.push(inLogBy(latest));
  if (report.stated !== undefined) {
    lines.push(
      `Der Datensatz selbst nennt ${report.stated.at} (${report.stated.member}); das ist seine eigene Angabe.`,
    );
  }
  for (const other of report.others ?? []) lines.push(another(other));
  return lines;
}

function another({ anchor, signers, witnesses, timestamps, times }: AnchoringReport): string {
  const cosigned = witnesses === undefined ? "" : `, mitsigniert von ${cosigners(witnesses)}`;
  const by = (timestamps ?? []).map((timestamp) =>
    timestamp.type === "ots" ? `Bitcoin-Block ${timestamp.height}` : quoted(timestamp.by),
  );
  const at = latestOf(times);
  return `Derselbe signierte Baum steht auch im Baum des Anker-Logs von ${anchor.treeSize} Einträgen, signiert von ${keys(signers)}${cosigned}${by.length === 0 ? "" : `, mit Zeitstempel von ${by.join(" und ")}`}${at === undefined ? "" : `, Stand ${at.at}`}.`;
}

function inLogBy({ kind, at, by }: SignedTime): string {
  switch (kind) {
    case "witness":
      return `Spätestens am ${at} war er im Log: die späteste Zeit, die ein Zeuge signiert hat (${by}).`;
    case "operator":
      return `Spätestens am ${at} war er im Log, nach der eigenen Uhr des Betreibers (${by}).`;
    case "authority":
      return `Spätestens am ${at} war er im Log: die späteste Zeit, die ein Zeitstempel zeigt (${quoted(by)}).`;
    case "block":
      return `Spätestens am ${at} war er im Log: die Zeit des Bitcoin-Blocks ${by}.`;
  }
}

function stamped(timestamp: ShownTimestamp): string {
  if (timestamp.type === "ots") {
    const at = timestamp.at === undefined ? "" : ` von etwa ${timestamp.at}`;
    return `Der signierte Baum des Anker-Logs bestand vor dem Bitcoin-Block ${timestamp.height}${at} (OpenTimestamps).`;
  }
  const accuracy = timestamp.accuracy === undefined ? "" : `, auf ${timestamp.accuracy / 1000} s genau`;
  return `Der signierte Baum des Anker-Logs hat einen Zeitstempel von ${quoted(timestamp.by)}, ${timestamp.at}${accuracy} (RFC 3161).`;
}

function keys(vkeys: readonly Vkey[]): string {
  return `Schlüssel ${[...new Set(vkeys.map(keyId))].join(" und ")}`;
}

function latestOf(times: readonly SignedTime[]): SignedTime | undefined {
  for (const kind of ["witness", "authority", "block", "operator"] as const) {
    const latest = times
      .filter((time) => time.kind === kind)
      .sort((a, b) => Date.parse(a.at) - Date.parse(b.at))
      .at(-1);
    if (latest !== undefined) return latest;
  }
  return undefined;
}

function cosigners({ cosigned, listed }: { cosigned: string[]; listed: number }): string {
  const which = cosigned.length === 0 ? "" : ` (${cosigned.join(", ")})`;
  return `${cosigned.length} von ${listed} Zeugen${which}`;
}

function caveat(caveat: Caveat): string {
  switch (caveat.code) {
    case "no_event":
      return "Kein Datensatz wurde vorgelegt: wofür das Commitment steht, ist nicht gezeigt.";
    case "not_anchored":
      return "Dafür steht allein das Log: der Nachweis hat keinen Teil aus dem Anker-Log. Holen Sie ihn erneut, sobald der Eintrag verankert ist.";
    case "anchor_not_checked":
      return "Dafür steht allein das Log: der Teil aus dem Anker-Log wurde nicht geprüft, weil kein Schlüssel des Anker-Logs vorliegt.";
    case "no_policy":
      return "Kein Zeuge ist gezeigt: ohne Policy wurden Mitsignaturen nicht geprüft.";
    case "no_witness_required":
      return "Kein Zeuge ist gezeigt: die Policy verlangt keinen.";
    case "quorum_not_met":
      return `Die Policy verlangt mehr Zeugen: mitsigniert haben ${cosigners(caveat)}. Holen Sie den Nachweis später erneut, oder fragen Sie den Betreiber nach dem Grund.`;
    case "no_timestamp":
      return "Der Nachweis trägt keinen Zeitstempel. Holen Sie ihn später erneut, oder fragen Sie den Betreiber nach dem Grund.";
    case "timestamps_not_checked":
      return "Die Zeitstempel im Nachweis wurden nicht geprüft. Geben Sie das Zertifikat der Zeitstempelstelle dazu.";
    case "timestamp_refused":
      return `Ein Zeitstempel im Nachweis zählte nicht (${caveat.cause.message.replace(/\.$/, "")}).`;
    case "key_silent":
      return `Der vorgelegte Schlüssel ${keyLabel(caveat.vkey)} hat nicht signiert: der Nachweis beruht auf den übrigen.`;
    case "no_time":
      return "Keine Zeit ist gezeigt: kein vorgelegter Schlüssel hat eine signiert.";
    case "no_independent_time":
      return "Keine unabhängige Zeit ist gezeigt: die einzige ist die des Betreibers.";
    case "bad_cosignature":
      return `Eine Mitsignatur unter dem Schlüssel des Zeugen ${caveat.witness} ist ungültig und zählte nicht.`;
    case "anchoring_not_checked":
      return `Der Nachweis wurde mehrmals verankert, und eine dieser Verankerungen wurde nicht geprüft. ${failed(caveat.cause)}`;
    case "whose_witnesses": {
      const own =
        caveat.own.length === 0 ? "" : ` Unter der Domain des Betreibers: ${caveat.own.join(", ")}.`;
      return `Dass ${caveat.cosigned.join(", ")} vom Betreiber unabhängig ${caveat.cosigned.length === 1 ? "ist" : "sind"}: dafür steht allein die Policy, die Sie vorgelegt haben.${own}`;
    }
    case "truth_and_completeness":
      return "Dass das Ereignis die Wahrheit sagt, auch über seine Zeit, dass der Zugriff berechtigt war, oder dass jedes Ereignis protokolliert wurde: das zeigt kein solcher Nachweis.";
  }
}

const ROTATED =
  "Das Log kann seinen Schlüssel gewechselt haben: holen Sie den neuen aus einer Quelle, der Sie vertrauen.";
const LOGS = { log: "Logs", anchor: "Anker-Logs" } as const;

function failed(failure: VerifyFailure): string {
  if ("cause" in failure) return explained(failure);
  switch (failure.code) {
    case "converted": {
      const undone = failure.conversions.map((one) => VERDICT_WORDS.de.conversions[one]).join(" und ");
      return failure.step === "proof"
        ? `Die Nachweisdatei wurde unterwegs umgewandelt: ${undone} ist sie ein Nachweis dieses Ereignisses, und sonst wurde nichts geändert. Speichern Sie sie so, oder holen Sie sie erneut.`
        : `Der Datensatz wurde unterwegs umgewandelt: ${undone} ist er Byte für Byte der protokollierte, und sonst wurde nichts geändert. So, wie er vorliegt, ist er es nicht.`;
    }
    case "no_opening":
      return "Der Nachweis enthält die Öffnung (Opening) des Ereignisses nicht, also verbindet nichts das Ereignis mit ihm. Geben Sie die Datei der Öffnungen dazu.";
    case "unknown_key":
      return failure.pinned.length === 0
        ? `Der Nachweis ist aus ${failure.step === "log" ? "dem Log" : "dem Anker-Log"} ${quoted(failure.origin)}, und von ihm liegt kein Schlüssel vor. Fügen Sie seinen Schlüssel ein.`
        : `Der Nachweis ist aus ${failure.step === "log" ? "dem Log" : "dem Anker-Log"} ${quoted(failure.origin)}, und die Schlüssel sind von ${failure.pinned.join(", ")}. Prüfen Sie, ob Schlüssel und Nachweis zusammengehören.`;
    case "same_log":
      return "Der Teil aus dem Anker-Log ist aus dem Log selbst, und kein Log verankert sich selbst. Legen Sie die Schlüssel des Anker-Logs vor.";
    case "two_histories":
      return `Der Nachweis enthält zwei verschiedene Bäume des Anker-Logs ${failure.origin} von ${failure.size} Einträgen, beide mit einem vorgelegten Schlüssel signiert: es hat zwei Verläufe gezeigt. Bewahren Sie den Nachweis auf, er ist ein Beweisstück.`;
    case "too_low":
    case "missing_signature":
    case "no_timestamp":
      return "Der Nachweis stimmt, zeigt aber weniger als verlangt.";
  }
}

function explained({ step, code, cause, opening }: Extract<VerifyFailure, { cause: unknown }>): string {
  const detail = `(${cause.message.replace(/\.$/, "")}.)`;
  if (step === "proof")
    return `Die Nachweisdatei ist nicht lesbar: sie ist kein Nachweis oder wurde geändert oder abgeschnitten. Holen Sie sie erneut. ${detail}`;
  if (step === "opening")
    return kindOf({ step, code, cause }) === "untold"
      ? `Die Öffnung ist nicht lesbar: sie ist von einer anderen Version oder wurde geändert. ${detail}`
      : `Der Datensatz ist nicht, wofür die Öffnung gemacht wurde: er wurde geändert, oder beide gehören nicht zusammen. ${detail}`;
  if (step === "policy")
    return `Die Policy erkennt den Stand des Anker-Logs nicht an. Prüfen Sie, woher beide sind. ${code === "unknown_key" ? `${ROTATED} ` : ""}${detail}`;
  const log = LOGS[step === "log" ? "log" : "anchor"];
  if (code === "unknown_key")
    return `Kein vorgelegter Schlüssel des ${log} hat diesen Stand signiert. ${ROTATED} ${detail}`;
  if (code === "bad_signature")
    return `Der Stand des ${log} wurde nach dem Signieren geändert, oder der vorgelegte Schlüssel ist nicht der, mit dem signiert wurde. ${detail}`;
  if (code === "malformed")
    return `Der Teil des ${log} im Nachweis ist nicht lesbar: er wurde geändert oder abgeschnitten. Holen Sie ihn erneut. ${detail}`;
  if (step !== "log")
    return `Der Stand des Logs ist nicht der im Anker-Log: einer von beiden wurde geändert, oder sie gehören nicht zusammen. Holen Sie den Nachweis erneut. ${detail}`;
  if (opening === undefined)
    return `Das Commitment ist nicht der Eintrag, zu dem der Nachweis gehört: eines von beiden wurde geändert, oder sie gehören nicht zusammen. ${detail}`;
  return `Der Datensatz ist nicht der Eintrag, zu dem der Nachweis gehört: Ereignis, Öffnung oder Nachweis wurde geändert, oder sie gehören nicht zusammen. Umwandlungen von Zeilenenden, Zeichenkodierung und Leerraum wurden versucht: daran liegt es nicht. Vergleichen Sie das Ereignis mit dem Exemplar, auf das man sich festgelegt hat. ${detail}`;
}
