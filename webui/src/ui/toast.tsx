// What has just happened, quietly; with the way back where there is one.
import { createContext, type ReactNode, useCallback, useContext, useMemo, useState } from "react";
import { useTranslation } from "../i18n/use";
import { Alert, AlertActionCloseButton, AlertGroup, Button } from "./kit";
import { errorLines } from "./states";

export interface Toast {
  title: string;
  kind?: "success" | "info" | "warning" | "danger";
  lines?: string[];
  action?: { text: string; run: () => void };
}
interface Toasts { show: (toast: Toast) => void; fail: (error: unknown) => void }
const Context = createContext<Toasts>({ show: () => {}, fail: () => {} });
export const useToast = () => useContext(Context);

export function ToastProvider({ children }: { children: ReactNode }) {
  const { t } = useTranslation();
  const [shown, setShown] = useState<(Toast & { id: number })[]>([]);
  const drop = useCallback((id: number) => setShown((all) => all.filter((x) => x.id !== id)), []);
  const show = useCallback((toast: Toast) => setShown((all) => [...all.slice(-4), { ...toast, id: Date.now() + Math.random() }]), []);
  const fail = useCallback((error: unknown) => { const { title, lines } = errorLines(error, t); show({ title, lines, kind: "danger" }); }, [show, t]);
  const value = useMemo(() => ({ show, fail }), [show, fail]);
  return (
    <Context value={value}>
      {children}
      <AlertGroup isToast isLiveRegion hasAnimations={false} className={shown.length === 0 ? "inari-none" : ""}>
        {shown.map((x) => (
          <Alert key={x.id} variant={x.kind ?? "success"} title={x.title} component="p" variantLabel={t(x.kind ?? "success")}
            timeout={x.kind === "danger" ? false : x.action ? 60000 : 6000} onTimeout={() => drop(x.id)}
            actionClose={<AlertActionCloseButton aria-label={t("close")} onClose={() => drop(x.id)} />}
            {...(x.action ? { actionLinks: <Button variant="link" isInline onClick={() => { x.action?.run(); drop(x.id); }}>{x.action.text}</Button> } : {})}>
            {x.lines?.map((line, i) => <p key={i}>{line}</p>)}
          </Alert>
        ))}
      </AlertGroup>
    </Context>
  );
}
