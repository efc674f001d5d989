/** Signing in: as a page, and in place when a session has ended. */
import { LINK, TENANT_ID } from "@kedge/cli/contract/ids";
import { ClientError } from "@kedge/verify/error";
import { useEffect, useRef, useState } from "preact/hooks";
import { askProviderElsewhere, leaveForProvider, type Returned } from "./provider.ts";
import type { Credential, Service, SignedIn } from "./session.ts";
import type { Strings } from "./strings/en.ts";
import { Field, Problem, useDeed } from "./ui.tsx";

type Props = {
  t: Strings;
  service: Service;
  /** Whether the work in this window must stay: the provider then gets a window of its own. */
  inPlace: boolean;
  onSignedIn(signedIn: SignedIn): Promise<void> | void;
};

/** Why nobody is signed in, in words; whatever else went wrong is for `Problem`. */
export function refusal(t: Strings, error: unknown, by: "link" | "code"): string | undefined {
  if (!(error instanceof ClientError)) return undefined;
  const isRefused = ["unauthorized", "forbidden", "invalid", "not_found"].includes(error.code);
  if (!isRefused) return undefined;
  if (by === "link") return t.signIn.refusedLink;
  return error.code === "forbidden" ? t.signIn.noRole : t.signIn.refusedCode;
}

/** Of a text that somebody pasted: a link's address, or what stands in it. */
export function credentialOf(text: string): Credential | undefined {
  const [, by, inAddress] = /#(link|start)=([^\s#]+)\s*$/.exec(text) ?? [];
  if (by === "start" && inAddress !== undefined) return { start: inAddress };
  const link = (inAddress ?? text).trim();
  return LINK.test(link) ? { link } : undefined;
}

export function SignInForms({ t, service, inPlace, onSignedIn }: Props) {
  return (
    <div class="sign-in">
      <ByProvider {...{ t, service, inPlace, onSignedIn }} />
      <ByText {...{ t, service, inPlace, onSignedIn }} />
    </div>
  );
}

function ByProvider({ t, service, inPlace, onSignedIn }: Props) {
  const deed = useDeed();
  const [isWrong, setWrong] = useState(false);
  const [answer, setAnswer] = useState<Returned | "blocked">();
  const ending = useRef<AbortController>(undefined);
  useEffect(() => () => ending.current?.abort(), []);
  const input = useRef<HTMLInputElement>(null);

  const go = (tenant: string) =>
    deed.run(async () => {
      setAnswer(undefined);
      if (!inPlace) return await leaveForProvider(service, tenant);
      ending.current = new AbortController();
      const returned = await askProviderElsewhere(service, tenant, ending.current.signal);
      if (returned?.is === "credential") await onSignedIn(await service.signIn(returned.credential));
      else setAnswer(returned ?? "blocked");
    });
  const words =
    deed.error instanceof ClientError && deed.error.code === "not_found"
      ? t.signIn.noOrganisation
      : refusal(t, deed.error, "code");
  return (
    <form
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        const tenant = input.current?.value.trim() ?? "";
        const isRight = TENANT_ID.test(tenant);
        setWrong(!isRight);
        if (isRight) go(tenant);
        else input.current?.focus();
      }}
    >
      <h2>{t.signIn.withOrganisation}</h2>
      <Field
        label={t.signIn.organisation}
        hint={t.signIn.organisationHint}
        error={isWrong ? t.signIn.organisationWrong : undefined}
      >
        {(ids) => (
          <input
            {...ids}
            ref={input}
            name="organisation"
            autocomplete="organization"
            autocapitalize="none"
            spellcheck={false}
            maxLength={64}
          />
        )}
      </Field>
      {inPlace && <p class="hint">{t.session.popup}</p>}
      <button type="submit" class="main" aria-disabled={deed.isBusy}>
        {t.signIn.go}
      </button>
      <p role="status">{deed.isBusy ? t.signIn.going : ""}</p>
      {deed.error !== undefined && (
        <Problem t={t} error={deed.error} {...(words !== undefined && { words })} />
      )}
      {answer === "blocked" && <Problem t={t} error={undefined} words={t.session.blocked} />}
      {typeof answer === "object" && answer.is === "refused" && (
        <Problem t={t} error={undefined} words={t.signIn.provider(answer.error)} />
      )}
    </form>
  );
}

function ByText({ t, service, onSignedIn }: Props) {
  const deed = useDeed();
  const [isWrong, setWrong] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const words = refusal(t, deed.error, "link");
  return (
    <form
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        const credential = credentialOf(input.current?.value ?? "");
        setWrong(credential === undefined);
        if (credential === undefined) return input.current?.focus();
        deed.run(async () => {
          await onSignedIn(await service.signIn(credential));
          if (input.current) input.current.value = "";
        });
      }}
    >
      <h2>{t.signIn.withLink}</h2>
      <Field label={t.signIn.link} hint={t.signIn.linkHint} error={isWrong ? t.signIn.linkWrong : undefined}>
        {(ids) => (
          <input
            {...ids}
            ref={input}
            name="link"
            type="password"
            autocomplete="off"
            autocapitalize="none"
            spellcheck={false}
            maxLength={2_000}
          />
        )}
      </Field>
      <button type="submit" aria-disabled={deed.isBusy}>
        {t.signIn.open}
      </button>
      <p role="status">{deed.isBusy ? t.signIn.opening : ""}</p>
      {deed.error !== undefined && (
        <Problem t={t} error={deed.error} {...(words !== undefined && { words })} />
      )}
    </form>
  );
}
