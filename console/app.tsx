/** The frame around the pages: who is signed in, which page is shown, in which language. */
import { ClientError } from "@kedge/verify/error";
import type { ComponentType, JSX } from "preact";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Arrival, hashOf, type Route, routeOf, takeArrival } from "./address.ts";
import type { Language, Log, PageProps, Session } from "./context.ts";
import { formatsOf } from "./format.ts";
import { AboutPage } from "./pages/about-page.tsx";
import { KeysPage } from "./pages/keys-page.tsx";
import { LinksPage } from "./pages/links-page.tsx";
import { LogsPage } from "./pages/logs-page.tsx";
import { returned } from "./provider.ts";
import type { Service, SignedIn } from "./session.ts";
import { refusal, SignInForms } from "./sign-in.tsx";
import { de } from "./strings/de.ts";
import { en, type Strings } from "./strings/en.ts";
import { Confirm, Dialog, Loading, Problem, type ShellProps } from "./ui.tsx";

const TEXTS: Record<Language, Strings> = { en, de };
const NAMES: Record<Language, string> = { en: "English", de: "Deutsch" };
/** Before the session ends, ms: enough to finish a sentence. */
const WARNING = 5 * 60_000;

/** A longer timer fires at once (HTML §8.7). */
const MAX_TIMER = 2 ** 31 - 1;

/** How the last session ended. */
type Notice = "ended" | "endedUntold";

type AppProps = { service: Service; arrival?: Arrival; isHandedOn: boolean };

export function App({ service, arrival, isHandedOn }: AppProps) {
  const [language, setLanguage] = useState<Language>(navigator.language.startsWith("de") ? "de" : "en");
  const [session, setSession] = useState<Session>();
  const [notice, setNotice] = useState<Notice>();
  const t = TEXTS[language];
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);

  const signIn = (signedIn: SignedIn, page?: string) => {
    service.use(signedIn);
    setNotice(undefined);
    setSession(sessionOf(signedIn));
    if (page !== undefined && page !== location.hash) location.hash = hashOf(routeOf(page));
  };
  const signOut = () => {
    setSession(undefined);
    service.signOut().then(
      () => setNotice("ended"),
      (error: unknown) => {
        const isOver = error instanceof ClientError && error.code === "unauthorized";
        setNotice(isOver ? "ended" : "endedUntold");
      },
    );
  };

  const switcher = <LanguageSwitch {...{ t, language, setLanguage }} />;
  if (isHandedOn) {
    return (
      <main id="content" class="narrow">
        <h1>{t.name}</h1>
        <p>{t.signIn.close}</p>
      </main>
    );
  }
  if (session === undefined) {
    const on = { t, service, switcher, notice, onSignedIn: signIn };
    return <SignInPage {...on} {...(arrival !== undefined && { arrival })} />;
  }
  // Another account finds nothing of the one before.
  return (
    <Console
      key={identityOf(session)}
      {...{ t, language, service, session, setSession, switcher, signOut }}
    />
  );
}

/** Without the token, which is the service's alone to send. */
const sessionOf = ({ token: _, ...session }: SignedIn): Session => session;

/** Two sessions of one account may continue one another. Names tell nobody apart: two people may share one, or have none. */
const identityOf = ({ tenant, holder, role, logs }: Session): string =>
  JSON.stringify([tenant.id, holder, role, logs]);

function LanguageSwitch(props: { t: Strings; language: Language; setLanguage(to: Language): void }) {
  const { t, language, setLanguage } = props;
  return (
    <fieldset class="languages">
      <legend class="unseen">{t.language}</legend>
      {(["en", "de"] as const).map((each) => (
        <button
          key={each}
          type="button"
          lang={each}
          aria-pressed={each === language}
          onClick={() => setLanguage(each)}
        >
          {NAMES[each]}
        </button>
      ))}
    </fieldset>
  );
}

// ---- signing in --------------------------------------------------------------------------------------------------

type SignInProps = {
  t: Strings;
  service: Service;
  arrival?: Arrival;
  switcher: JSX.Element;
  notice: Notice | undefined;
  onSignedIn(signedIn: SignedIn, page?: string): void;
};

/** `words`: in the language that the reader has by then. */
type Arriving = { isBusy: boolean; words?: (t: Strings) => string | undefined; error?: unknown };

/** Taken once: a credential in it is good for one sign-in. */
let isArrivalTaken = false;

function SignInPage({ t, service, arrival, switcher, notice, onSignedIn }: SignInProps) {
  const [state, setState] = useState<Arriving>({ isBusy: false });
  const words = state.words?.(t);

  const arrive = async (what: Arrival) => {
    const by = what.kind === "text" ? "link" : "code";
    setState({ isBusy: true });
    try {
      if (what.kind === "text") {
        onSignedIn(await service.signIn(what.by === "link" ? { link: what.text } : { start: what.text }));
        return;
      }
      const answer = returned(what);
      if (answer.is === "credential") onSignedIn(await service.signIn(answer.credential), answer.page);
      else {
        const words = ({ signIn }: Strings) =>
          answer.is === "foreign" ? signIn.foreign : signIn.provider(answer.error);
        setState({ isBusy: false, words });
      }
    } catch (error) {
      setState({ isBusy: false, error, words: (t) => refusal(t, error, by) });
    }
  };
  useEffect(() => {
    document.title = t.titleOf(t.signIn.title);
  }, [t]);
  // Before the page is painted: an effect comes later than somebody's quick click.
  useLayoutEffect(() => {
    if (arrival !== undefined && !isArrivalTaken) {
      isArrivalTaken = true;
      void arrive(arrival);
    }
    // A link that is opened in this very window.
    const onHash = () => {
      const later = takeArrival();
      if (later !== undefined) void arrive(later);
    };
    addEventListener("hashchange", onHash);
    return () => removeEventListener("hashchange", onHash);
  }, []);

  return (
    <>
      <header class="top">
        <p class="brand">{t.name}</p>
        {switcher}
      </header>
      <main id="content" class="narrow">
        <h1 tabIndex={-1}>{t.signIn.title}</h1>
        <p class="lead">{t.signIn.lead}</p>
        <p role="status">{state.isBusy ? t.signIn.opening : notice && t.signIn[notice]}</p>
        {(words !== undefined || state.error !== undefined) && (
          <Problem t={t} error={state.error} {...(words !== undefined && { words })} />
        )}
        {!state.isBusy && <SignInForms {...{ t, service }} inPlace={false} onSignedIn={onSignedIn} />}
        <p class="hint">{t.signIn.memory}</p>
        <p>
          {t.signIn.verifier} <a href="/verify.html">{t.signIn.verifierLink}</a>
        </p>
      </main>
      <Foot t={t} />
    </>
  );
}

function Foot({ t }: { t: Strings }) {
  return (
    <footer>
      <nav aria-label={t.about.parts}>
        <ul>
          <li>
            <a href="/verify.html">{t.foot.verifier}</a>
          </li>
          <li>
            <a href="/docs">{t.foot.docs}</a>
          </li>
          <li>
            <a href="/openapi.json">{t.foot.openapi}</a>
          </li>
          <li>
            <a href="/anchor/">{t.foot.anchor}</a>
          </li>
        </ul>
      </nav>
    </footer>
  );
}

// ---- signed in ---------------------------------------------------------------------------------------------------

type ConsoleProps = {
  t: Strings;
  language: Language;
  service: Service;
  session: Session;
  setSession(to: Session): void;
  switcher: JSX.Element;
  signOut(): void;
};

/** What waits for the reader to sign in again. */
type Waiting = { resolve(): void; reject(): void };

function Console({ t, language, service, session, setSession, switcher, signOut }: ConsoleProps) {
  const [route, setRoute] = useState(() => routeOf(location.hash));
  const [logs, setLogs] = useState<{ value?: readonly Log[]; error?: unknown }>({});
  const [said, setSaid] = useState("");
  const [isHeld, setHeld] = useState(false);
  const [asked, setAsked] = useState<"sign-in" | "renewal" | "leave">();
  const [hasLink, setHasLink] = useState(false);
  const waiting = useRef<Waiting[]>([]);
  const readings = useRef(0);
  const isOver = useRef(false);
  const f = useMemo(() => formatsOf(language), [language]);
  // What was announced was said in the language before.
  useEffect(() => setSaid(""), [language]);

  /** A question that met the end of the session is asked again after the next sign-in. */
  const asking = useCallback(
    async <T,>(work: () => Promise<T>): Promise<T> => {
      const token = service.current()?.token;
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof ClientError) || error.code !== "unauthorized") throw error;
        // Whoever signs in after a sign-out asks nothing of what another had asked.
        if (isOver.current) throw error;
        if (service.current()?.token === token) {
          setAsked("sign-in");
          await new Promise<void>((resolve, reject) => {
            waiting.current.push({ resolve, reject: () => reject(error) });
          });
        }
        return await work();
      }
    },
    [service],
  );
  /** What was read before stays on the screen meanwhile, and where it fails. A late answer to an earlier question is dropped. */
  const reloadLogs = useCallback(() => {
    readings.current += 1;
    const mine = readings.current;
    const isNewest = () => readings.current === mine;
    asking(() => service.client.logs()).then(
      (value) => isNewest() && setLogs({ value: value.toSorted(ownFirst) }),
      (error: unknown) => isNewest() && setLogs((before) => ({ ...before, error })),
    );
  }, [asking, service]);
  useEffect(reloadLogs, [reloadLogs]);
  const named = useMemo(
    () => (logs.value ?? []).map((log) => ({ ...log, name: logName(t, log) })),
    [logs, t],
  );
  useEffect(
    () => () => {
      isOver.current = true;
      for (const { reject } of waiting.current.splice(0)) reject();
    },
    [],
  );

  useLayoutEffect(() => {
    const onHash = () => {
      setHasLink(takeArrival() !== undefined);
      setRoute(routeOf(location.hash));
    };
    addEventListener("hashchange", onHash);
    return () => removeEventListener("hashchange", onHash);
  }, []);
  useEffect(() => {
    if (!isHeld) return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [isHeld]);

  const renew = async (signedIn: SignedIn) => {
    if (identityOf(signedIn) !== identityOf(session)) {
      await service.drop(signedIn);
      throw new OtherAccount();
    }
    service.use(signedIn);
    setSession(sessionOf(signedIn));
    setAsked(undefined);
    for (const { resolve } of waiting.current.splice(0)) resolve();
  };
  /** What waits fails, and can be asked again. */
  const giveUp = () => {
    setAsked(undefined);
    for (const { reject } of waiting.current.splice(0)) reject();
  };
  const leave = () => (isHeld ? setAsked("leave") : signOut());

  const page: PageProps = {
    client: service.client,
    people: service,
    connection: service.connection,
    ...{ asking, session, language, reloadLogs },
    logs: named,
    announce: setSaid,
    holdsWork: setHeld,
    save,
  };
  const shell: ShellProps = { ...page, ...{ t, f, service } };
  const { scopes } = session;
  const pages = PAGES.filter(({ scope }) => scope === undefined || scopes.includes(scope));
  return (
    <>
      <button type="button" class="skip" onClick={() => document.querySelector<HTMLElement>("main")?.focus()}>
        {t.skip}
      </button>
      <header class="top">
        <p class="brand">{t.name}</p>
        <p class="who">
          {t.session.who(whoIs(t, session), session.tenant.name)}
          {session.role && session.name && <span class="role">{t.session.role[session.role]}</span>}
        </p>
        {switcher}
        <button type="button" onClick={leave}>
          {t.session.signOut}
        </button>
      </header>
      <nav class="pages" aria-label={t.menu}>
        <ul>
          {pages.map(({ name }) => (
            <li key={name}>
              <a href={`#/${name}`} {...(isPartOf(route, name) && { "aria-current": "page" as const })}>
                {t.pages[name]}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <Ending key={session.expiresAt} {...{ t, f, session }} onRenew={() => setAsked("renewal")} />
      {hasLink && <Problem t={t} error={undefined} words={t.session.hasLink} />}
      <main id="content" tabIndex={-1}>
        {logs.error !== undefined && <Problem t={t} error={logs.error} again={reloadLogs} />}
        {logs.value === undefined && logs.error === undefined && <Loading t={t} />}
        {logs.value !== undefined && <Pages {...{ route, shell, page }} />}
      </main>
      <p class="unseen" role="status">
        {said}
      </p>
      <Foot t={t} />
      {(asked === "sign-in" || asked === "renewal") && (
        <SignInAgain
          {...{ t, service, session }}
          isOver={asked === "sign-in"}
          onSignedIn={renew}
          onClose={giveUp}
          signOut={leave}
        />
      )}
      {asked === "leave" && (
        <Confirm
          t={t}
          title={t.session.leaving}
          text={t.session.leavingText}
          action={t.session.lose}
          onConfirm={async () => signOut()}
          onClose={() => setAsked(waiting.current.length > 0 ? "sign-in" : undefined)}
        />
      )}
    </>
  );
}

/** By name; else by role, as whoever signed in by a start link; else as whoever has a viewer link. */
const whoIs = (t: Strings, { name, role }: Session): string =>
  name ?? (role === undefined ? t.session.viewer : t.session.role[role]);

class OtherAccount extends Error {
  override readonly name = "OtherAccount";
}

const PAGES = [
  { name: "logs", scope: undefined },
  { name: "prove", scope: "read" },
  { name: "keys", scope: "admin" },
  { name: "links", scope: "review" },
  { name: "reviews", scope: "trail" },
  { name: "trail", scope: "trail" },
  { name: "about", scope: undefined },
] as const;

const isPartOf = (route: Route, name: string): boolean =>
  route.page === name || (route.page === "log" && name === "logs");

/** Hands out a file. The address is good for this window alone, and for a minute. */
function save(name: string, bytes: Uint8Array<ArrayBuffer> | string, mediaType: string): void {
  const url = URL.createObjectURL(new Blob([bytes], { type: mediaType }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

// ---- the end of a session ----------------------------------------------------------------------------------------

type EndingProps = { t: Strings; f: ReturnType<typeof formatsOf>; session: Session; onRenew(): void };

/** Warns in time. That it has ended is for the service to say: this clock may be wrong. */
function Ending({ t, f, session, onRenew }: EndingProps) {
  const ends = Date.parse(session.expiresAt);
  const [isSoon, setSoon] = useState(false);
  useEffect(() => {
    const wait = Math.max(0, ends - WARNING - Date.now());
    if (wait > MAX_TIMER) return;
    const timer = setTimeout(() => setSoon(true), wait);
    return () => clearTimeout(timer);
  }, [ends]);
  return (
    <div role="status" class={isSoon ? "notice" : ""}>
      {isSoon && (
        <>
          <p>{t.session.soon(f.clock(ends))}</p>
          <button type="button" onClick={onRenew}>
            {t.session.renew}
          </button>
        </>
      )}
    </div>
  );
}

type SignInAgainProps = {
  t: Strings;
  service: Service;
  session: Session;
  /** Whether the session has ended, or is renewed in time. */
  isOver: boolean;
  onSignedIn(signedIn: SignedIn): Promise<void>;
  onClose(): void;
  signOut(): void;
};

function SignInAgain({ t, service, session, isOver, onSignedIn, onClose, signOut }: SignInAgainProps) {
  const [isOther, setOther] = useState(false);
  const take = async (signedIn: SignedIn) => {
    setOther(false);
    try {
      await onSignedIn(signedIn);
    } catch (error) {
      if (!(error instanceof OtherAccount)) throw error;
      setOther(true);
    }
  };
  return (
    <Dialog title={isOver ? t.session.over : t.session.renew} onClose={onClose}>
      {isOver && <p>{t.session.overText}</p>}
      {isOther && <Problem t={t} error={undefined} words={t.session.other(whoIs(t, session))} />}
      <SignInForms {...{ t, service }} inPlace onSignedIn={take} />
      <div class="actions">
        <button type="button" onClick={onClose}>
          {t.cancel}
        </button>
        <button type="button" onClick={signOut}>
          {t.session.signOut}
        </button>
      </div>
    </Dialog>
  );
}

// ---- the pages ---------------------------------------------------------------------------------------------------

type PagesProps = { route: Route; shell: ShellProps; page: PageProps };

/** The case keeps what was dropped in it while another page is looked at. */
function Pages({ route, shell, page }: PagesProps) {
  const [hasCase, setHasCase] = useState(route.page === "prove");
  const container = useRef<HTMLDivElement>(null);
  const isFirst = useRef(true);
  const name = route.page === "log" ? `log ${route.log}` : route.page;
  const { t, reloadLogs } = shell;
  useEffect(() => {
    if (route.page === "prove") setHasCase(true);
    document.title = t.titleOf(t.pages[route.page === "log" ? "logs" : route.page]);
  }, [name, t]);
  useEffect(() => {
    // The first page is where the reader came to by signing in.
    if (!isFirst.current) scrollTo(0, 0);
    // The service makes logs of its own, and others make some meanwhile.
    if (!isFirst.current && route.page === "logs") reloadLogs();
    isFirst.current = false;
    const heading = container.current?.querySelector<HTMLElement>(":scope > div:not([hidden]) h1");
    heading?.focus();
  }, [name]);
  return (
    <div ref={container}>
      {hasCase && (
        <div hidden={route.page !== "prove"}>
          <Lazy t={t} load={loadCase} props={page} />
        </div>
      )}
      {route.page !== "prove" && <div key={name}>{shown(route, shell)}</div>}
    </div>
  );
}

function shown(route: Exclude<Route, { page: "prove" }>, shell: ShellProps) {
  switch (route.page) {
    case "log":
      return <Lazy t={shell.t} load={loadLog} props={{ ...shell, id: route.log }} />;
    case "keys":
      return <KeysPage {...shell} />;
    case "links":
      return <LinksPage {...shell} />;
    case "reviews":
      return <Lazy t={shell.t} load={loadReviews} props={shell} />;
    case "trail":
      return <Lazy t={shell.t} load={loadTrail} props={shell} />;
    case "about":
      return <AboutPage {...shell} />;
    default:
      return <LogsPage {...shell} />;
  }
}

/** Logs of Kedge's own have names of the service's: they are told in the reader's language, and nothing else tells them apart. */
function logName(t: Strings, { kind, name }: Log): string {
  const names: Readonly<Record<string, string>> = t.logs.ofKedge;
  return (kind === "system" ? names[name] : undefined) ?? name;
}

/** Those of the organisation before Kedge's own. */
const ownFirst = (a: Log, b: Log): number => Number(a.kind === "system") - Number(b.kind === "system");

const loadCase = async () => (await import("./case/case-page.tsx")).CasePage;
const loadLog = async () => (await import("./pages/log-page.tsx")).LogPage;
const loadTrail = async () => (await import("./pages/trail-page.tsx")).TrailPage;
const loadReviews = async () => (await import("./pages/reviews-page.tsx")).ReviewsPage;

type LazyProps<P> = { t: Strings; load: () => Promise<ComponentType<P>>; props: P };

/** A page that is loaded when it is first shown. */
function Lazy<P extends object>({ t, load, props }: LazyProps<P>) {
  const [state, setState] = useState<{ page?: ComponentType<P>; hasFailed: boolean }>({ hasFailed: false });
  const container = useRef<HTMLDivElement>(null);
  useEffect(() => {
    load().then(
      (page) => setState({ page, hasFailed: false }),
      () => setState({ hasFailed: true }),
    );
  }, [load]);
  useEffect(() => {
    if (state.page !== undefined) container.current?.querySelector<HTMLElement>("h1")?.focus();
  }, [state.page]);
  if (state.hasFailed) return <Problem t={t} error={undefined} words={t.newVersion} />;
  const Page = state.page;
  return <div ref={container}>{Page === undefined ? <Loading t={t} /> : <Page {...props} />}</div>;
}
