// Help in the same place on every screen ("?" opens it), and the keys that go to the areas.
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { useNavigate } from "react-router";
import { useTranslation } from "../i18n/use";
import { Button, HelpIcon } from "../ui";
import { areas } from "./areas";
import { onKeys } from "./keys";
import { useSession } from "./session";

const SECOND_KEY_MS = 1500;

/** "g", then the letter of an area. */
function useJumps(): void {
  const go = useNavigate(), { may } = useSession(), since = useRef(0);
  useEffect(() => onKeys((key) => {
    const second = Date.now() - since.current < SECOND_KEY_MS, to = second ? areas.find((a) => a.key === key && (a.permission === null || may(a.permission))) : undefined;
    since.current = !second && key === "g" ? Date.now() : 0;
    if (to !== undefined) void go(`/${to.path}`);
    return to !== undefined || since.current !== 0;
  }), [go, may]);
}

const HelpBox = lazy(() => import("./helpbox"));

export function Help() {
  const { t } = useTranslation(), [open, setOpen] = useState(false);
  useJumps();
  useEffect(() => onKeys((key) => {
    if (key === "?") setOpen(true);
    return key === "?";
  }), []);
  return (
    <>
      <Button variant="plain" aria-label={t("help")} title={t("help_key")} icon={<HelpIcon />} onClick={() => setOpen(true)} />
      {open ? <Suspense fallback={null}><HelpBox onClose={() => setOpen(false)} /></Suspense> : null}
    </>
  );
}
