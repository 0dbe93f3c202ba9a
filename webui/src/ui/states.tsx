// The states every screen has besides its content: loading, empty, error, stale, forbidden.
import type { TFunction } from "i18next";
import { createContext, type ReactNode, useContext } from "react";
import { useTranslation } from "../i18n/use";
import { ApiError } from "../api/client";
import { Alert, Button, EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter, Skeleton } from "./kit";
import { Time } from "./time";

export function Loading() {
  const { t } = useTranslation();
  return <div role="status" aria-label={t("loading")}><Skeleton width="40%" /><br /><Skeleton width="90%" /><br /><Skeleton width="75%" /></div>;
}

export function Empty({ title, children, action }: { title?: string; children?: ReactNode; action?: ReactNode }) {
  const { t } = useTranslation();
  return (
    <EmptyState titleText={title ?? t("empty")} headingLevel="h2" variant="sm">
      {children === undefined ? null : <EmptyStateBody>{children}</EmptyStateBody>}
      {action === undefined ? null : <EmptyStateFooter><EmptyStateActions>{action}</EmptyStateActions></EmptyStateFooter>}
    </EmptyState>
  );
}

/** What failed, why, what to do, and the id to find it in the parent's log. */
export function errorLines(e: unknown, t: TFunction): { title: string; lines: string[] } {
  if (!(e instanceof ApiError) || e.status === 0) return { title: t("unreachable"), lines: [t("unreachable_help")] };
  const p = e.problem, lines: string[] = [];
  if (p.detail && p.detail !== p.title) lines.push(p.detail);
  for (const f of p.errors ?? []) lines.push(f.remedy ? t("finding_words", { message: f.message, remedy: f.remedy }) : f.message);
  if (e.status === 429 && e.retryAfter !== null) lines.push(t("slow_down", { count: e.retryAfter }));
  else if (p.remedy) lines.push(p.remedy);
  if (e.status >= 500 && p.request_id) lines.push(t("request_id", { id: p.request_id }));
  return { title: p.title ?? t("failed"), lines };
}

export function ErrorBox({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { t } = useTranslation();
  if (error === null || error === undefined) return null;
  const { title, lines } = errorLines(error, t);
  const copy = () => void navigator.clipboard.writeText([title, ...lines].join("\n"));
  return (
    <Alert variant="danger" isInline title={title} component="p" role="alert"
      actionLinks={<>{onRetry ? <Button variant="link" isInline onClick={onRetry}>{t("retry")}</Button> : null} <Button variant="link" isInline onClick={copy}>{t("copy_error")}</Button></>}>
      {lines.map((line, i) => <p key={i}>{line}</p>)}
    </Alert>
  );
}

interface Query { isPending: boolean; isPlaceholderData: boolean; isError: boolean; error: unknown; data: { at: number } | undefined; refetch: () => unknown }

const Waiting = createContext(false);
/** What is shown is the answer to the filters or the page before; the one that was asked for is on its way. */
export const useWaiting = () => useContext(Waiting);

/** What has been read is shown, with its age when the last look failed; before that loading or the error. */
export function Loaded<Q extends Query>({ of: q, children }: { of: Q; children: (data: NonNullable<Q["data"]>) => ReactNode }) {
  const { t } = useTranslation();
  if (q.data === undefined) return q.isError ? <ErrorBox error={q.error} onRetry={() => void q.refetch()} /> : <Loading />;
  return (
    <>
      {q.isError ? (
        <Alert variant="warning" isInline component="p" title={<>{errorLines(q.error, t).title} {t("stale")} <Time at={q.data.at} /></>}
          actionLinks={<Button variant="link" isInline onClick={() => void q.refetch()}>{t("retry")}</Button>} />
      ) : null}
      <Waiting value={q.isPlaceholderData}>{children(q.data as NonNullable<Q["data"]>)}</Waiting>
    </>
  );
}
