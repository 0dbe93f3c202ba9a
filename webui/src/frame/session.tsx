// Who is signed in.  When the session ends in the middle of something, the login dialog opens over the page: nothing that was
// entered is lost, and the request that met the end is sent again (api/client.ts).
import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "../i18n/use";
import { ApiError, onSessionEnd, type Schemas } from "../api/client";
import { get, send } from "../api/use";
import { LanguageSwitch } from "./language";
import { Alert, Button, Bullseye, Card, CardBody, CardFooter, CardTitle, ErrorBox, Form, FormGroup, Loading, Modal, ModalBody, ModalHeader, TextInput, Time } from "../ui";

export type Session = Schemas["Session"];
export type Permission = Schemas["Permission"];
interface Value { session: Session; may: (p: Permission) => boolean; signOut: () => Promise<void>; again: () => Promise<void> }
const Context = createContext<Value | null>(null);

export function useSession(): Value {
  const v = useContext(Context);
  if (v === null) throw new Error("outside of SessionProvider");
  return v;
}

function LoginForm({ user, onDone }: { user?: string; onDone: (s: Session) => void }) {
  const { t } = useTranslation();
  const [name, setName] = useState(user ?? ""), [password, setPassword] = useState(""), [busy, setBusy] = useState(false), [error, setError] = useState<unknown>(null);
  const go = async () => {
    setBusy(true);
    setError(null);
    try {
      onDone((await send("post", "/api/v1/session", { body: { user: name, password } })).data as Session);
    } catch (e) {
      setPassword("");
      setError(e);
    }
    setBusy(false);
  };
  return (
    <Form onSubmit={(e) => { e.preventDefault(); void go(); }}>
      <ErrorBox error={error} />
      <FormGroup label={t("user")} fieldId="login-user" isRequired>
        <TextInput id="login-user" name="username" autoComplete="username" autoCapitalize="none" spellCheck={false} maxLength={63} isRequired value={name} onChange={(_, v) => setName(v)} autoFocus={user === undefined} />
      </FormGroup>
      <FormGroup label={t("password")} fieldId="login-password" isRequired>
        <TextInput id="login-password" name="password" type="password" autoComplete="current-password" maxLength={200} isRequired value={password} onChange={(_, v) => setPassword(v)} autoFocus={user !== undefined} />
      </FormGroup>
      <Button type="submit" isDisabled={busy} isLoading={busy}>{t("sign_in")}</Button>
    </Form>
  );
}

export function PasswordForm({ user, onDone }: { user: string; onDone: () => void }) {
  const { t } = useTranslation();
  const [old, setOld] = useState(""), [fresh, setFresh] = useState(""), [repeated, setRepeated] = useState(""), [error, setError] = useState<unknown>(null), [differ, setDiffer] = useState(false), [busy, setBusy] = useState(false);
  const go = async () => {
    setDiffer(fresh !== repeated);
    if (fresh !== repeated) return;
    setBusy(true);
    setError(null);
    try {
      await send("put", "/api/v1/session/password", { body: { old, new: fresh } });
      onDone();
    } catch (e) {
      setError(e);
    }
    setBusy(false);
  };
  const field = (id: string, label: string, value: string, set: (v: string) => void, complete: string) => (
    <FormGroup label={label} fieldId={id} isRequired>
      <TextInput id={id} type="password" autoComplete={complete} maxLength={200} isRequired value={value} onChange={(_, v) => set(v)} />
    </FormGroup>
  );
  return (
    <Form onSubmit={(e) => { e.preventDefault(); void go(); }}>
      <ErrorBox error={error} />
      {differ ? <Alert variant="danger" isInline component="p" role="alert" title={t("passwords_differ")} /> : null}
      <input type="text" name="username" autoComplete="username" value={user} readOnly hidden />
      {field("password-old", t("old_password"), old, setOld, "current-password")}
      {field("password-new", t("new_password"), fresh, setFresh, "new-password")}
      {field("password-again", t("new_password_again"), repeated, setRepeated, "new-password")}
      <Button type="submit" isDisabled={busy} isLoading={busy}>{t("change_password")}</Button>
    </Form>
  );
}

function Alone({ title, children }: { title: string; children: ReactNode }) {
  useEffect(() => { document.title = `${title} – Inari`; }, [title]);
  return <main className="inari-alone"><Bullseye><Card className="inari-login"><CardTitle component="h1">{title}</CardTitle><CardBody>{children}</CardBody><CardFooter><LanguageSwitch /></CardFooter></Card></Bullseye></main>;
}

const WARN_MS = 120_000;
function EndsSoon({ session, again }: { session: Session; again: () => Promise<void> }) {
  const { t } = useTranslation(), [soon, setSoon] = useState(false), end = session.expires_at ? new Date(session.expires_at).getTime() : 0;
  useEffect(() => {
    setSoon(false);
    if (end === 0) return undefined;
    const wait = Math.min(Math.max(0, end - Date.now() - WARN_MS), 2_000_000_000);
    const timer = setTimeout(() => setSoon(true), wait);
    return () => clearTimeout(timer);
  }, [end]);
  if (!soon) return null;
  return <Alert variant="warning" isInline component="p" title={<Time at={end} />} actionLinks={<Button variant="link" isInline onClick={() => void again()}>{t("session_extend")}</Button>}>{t("session_ends")}</Alert>;
}

export function SessionProvider({ children }: { children: ReactNode }) {
  const { t } = useTranslation(), queries = useQueryClient();
  const [session, setSession] = useState<Session | null | undefined>(undefined), [failed, setFailed] = useState<unknown>(null), [asking, setAsking] = useState(false);
  const waiting = useRef<((ok: boolean) => void)[]>([]);

  const look = useCallback(async () => {
    setFailed(null);
    try {
      setSession((await get("/api/v1/session")).data);
    } catch (e) {
      if (e instanceof ApiError && e.status === 401) setSession(null);
      else setFailed(e);
    }
  }, []);
  useEffect(() => { void look(); }, [look]);
  const signedIn = session !== null && session !== undefined;
  useEffect(() => {
    onSessionEnd(signedIn ? () => new Promise((done) => { waiting.current.push(done); setAsking(true); }) : null);
    return () => onSessionEnd(null);
  }, [signedIn]);

  const again = useCallback(async () => setAsking(true), []);
  const signOut = useCallback(async () => {
    onSessionEnd(null);
    try { await send("delete", "/api/v1/session"); } catch { /* it has ended already */ }
    queries.clear();
    setSession(null);
  }, [queries]);
  const value = useMemo<Value | null>(() => (session ? { session, signOut, again, may: (p) => session.permissions.includes(p) } : null), [session, signOut, again]);

  if (failed !== null) return <Alone title="Inari"><ErrorBox error={failed} onRetry={() => void look()} /></Alone>;
  if (session === undefined) return <Alone title="Inari"><Loading /></Alone>;
  if (session === null || value === null) return <Alone title={t("sign_in")}><LoginForm onDone={setSession} /></Alone>;
  if (session.must_change_password) return <Alone title={t("change_password")}><p>{t("must_change")}</p><PasswordForm user={session.user} onDone={() => void look()} /></Alone>;

  const answerAll = (ok: boolean) => { for (const done of waiting.current.splice(0)) done(ok); setAsking(false); };
  return (
    <Context value={value}>
      <EndsSoon session={session} again={again} />
      {children}
      {asking ? (
        <Modal isOpen variant="small" aria-labelledby="again-title" onClose={() => { answerAll(false); }}>
          <ModalHeader title={t("sign_in_again")} labelId="again-title" description={t("sign_in_again_help")} />
          <ModalBody>
            <LoginForm user={session.user} onDone={(s) => {
              if (s.user !== session.user) queries.clear(); // somebody else: nothing of the one before stays
              setSession(s);
              answerAll(s.user === session.user);
            }} />
          </ModalBody>
        </Modal>
      ) : null}
    </Context>
  );
}
