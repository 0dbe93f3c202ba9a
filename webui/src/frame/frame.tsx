// What stands around every screen.
import { lazy, Suspense, useEffect, useState } from "react";
import { NavLink, Navigate, Route, Routes, useLocation } from "react-router";
import { useTranslation } from "../i18n/use";
import {
  BarsIcon, Button, currentZone, Dropdown, DropdownItem, DropdownList, Empty, KitPage, Loading, Masthead, MastheadBrand, MastheadContent, MastheadMain, MastheadToggle, MenuToggle,
  Nav, NavItem, NavList, PageSidebar, PageSidebarBody, PageToggleButton, SkipToContent, Toolbar, ToolbarContent, ToolbarItem, UserIcon,
} from "../ui";
import { areas } from "./areas";
import { LanguageSwitch } from "./language";
import { Notifications } from "./notifications";
import { PreferencesDialog, remember, usePreferences } from "./preferences";
import { Help } from "./help";
import { GlobalSearch } from "./search";
import { useSession } from "./session";
import { currentTheme, setTheme, type Theme } from "./theme";

/** What is changed and not published, on every page. */
const Pending = lazy(() => import("../screens/changes/pending"));

function AccountMenu() {
  const { t } = useTranslation(), { session, signOut } = useSession(), [open, setOpen] = useState(false), [theme, keep] = useState<Theme>(currentTheme()), [choosing, setChoosing] = useState(false);
  const choose = (x: Theme) => { setTheme(x); keep(x); remember({ theme: x }); };
  return (
    <>
      <Dropdown isOpen={open} onOpenChange={setOpen} popperProps={{ position: "right" }}
        toggle={(ref) => <MenuToggle ref={ref} isExpanded={open} onClick={() => setOpen(!open)} aria-label={t("account_menu", { user: session.user })} icon={<UserIcon />}><span className="inari-roomy">{session.user} ({t(`role_${session.role}`)})</span></MenuToggle>}>
        <DropdownList>
          {(["auto", "light", "dark"] as const).map((x) => <DropdownItem key={x} isSelected={theme === x} onClick={() => choose(x)}>{`${t("theme")}: ${t(`theme_${x}`)}`}</DropdownItem>)}
          <DropdownItem key="preferences" onClick={() => { setOpen(false); setChoosing(true); }}>{t("preferences")}</DropdownItem>
          <DropdownItem key="out" onClick={() => void signOut()}>{t("sign_out")}</DropdownItem>
        </DropdownList>
      </Dropdown>
      {choosing ? <PreferencesDialog onClose={() => { setChoosing(false); keep(currentTheme()); }} /> : null}
    </>
  );
}

/** A tab older than the parent's console says so: its next chunk might not exist any more. */
function OldTab() {
  const { t } = useTranslation(), [old, setOld] = useState(false);
  useEffect(() => {
    const seen = () => setOld(true);
    window.addEventListener("vite:preloadError", seen);
    return () => window.removeEventListener("vite:preloadError", seen);
  }, []);
  return old ? <Empty title={t("new_build")} action={<Button onClick={() => window.location.reload()}>{t("reload")}</Button>} /> : null;
}

export function NotFound() {
  const { t } = useTranslation();
  return <Empty title={t("not_found")} action={<NavLink to="/">{t("to_overview")}</NavLink>} />;
}

export function Frame() {
  const { t } = useTranslation(), { may, session } = useSession(), { pathname } = useLocation(), [narrow, setNarrow] = useState(window.matchMedia("(max-width: 1199px)").matches), [open, setOpen] = useState(!narrow);
  useEffect(() => {
    const m = window.matchMedia("(max-width: 1199px)"), seen = () => { setNarrow(m.matches); setOpen(!m.matches); };
    m.addEventListener("change", seen);
    return () => m.removeEventListener("change", seen);
  }, []);
  useEffect(() => { if (narrow) setOpen(false); }, [pathname, narrow]);
  usePreferences(session.account);
  const seen = areas.filter((a) => a.permission === null || may(a.permission)), first = seen[0]?.path ?? "";
  const masthead = (
    <Masthead>
      <MastheadMain>
        <MastheadToggle><PageToggleButton variant="plain" aria-label={t("navigation")} isSidebarOpen={open} onSidebarToggle={() => setOpen(!open)}><BarsIcon /></PageToggleButton></MastheadToggle>
        <MastheadBrand><NavLink to="/" className="inari-brand">Inari</NavLink></MastheadBrand>
      </MastheadMain>
      <MastheadContent>
        <Toolbar isFullHeight isStatic className="inari-head">
          <ToolbarContent>
            <ToolbarItem align={{ default: "alignEnd" }} alignSelf="center" className="inari-roomy">{t("zone", { zone: currentZone() })}</ToolbarItem>
            {may("settings:read") ? <ToolbarItem><Suspense fallback={null}><Pending /></Suspense></ToolbarItem> : null}
            <ToolbarItem className="inari-tight"><GlobalSearch /></ToolbarItem>
            <ToolbarItem className="inari-roomy"><Help /></ToolbarItem>
            <ToolbarItem className="inari-roomy"><Notifications /></ToolbarItem>
            <ToolbarItem><LanguageSwitch onChoose={(l) => remember({ lang: l })} /></ToolbarItem>
            <ToolbarItem><AccountMenu /></ToolbarItem>
          </ToolbarContent>
        </Toolbar>
      </MastheadContent>
    </Masthead>
  );
  const sidebar = (
    <PageSidebar isSidebarOpen={open}>
      <PageSidebarBody>
        <Nav aria-label={t("navigation")}>
          <NavList>
            {seen.map((a) => {
              const here = pathname === `/${a.path}` || pathname.startsWith(`/${a.path}/`);
              return <NavItem key={a.path} itemId={a.path} isActive={here}><NavLink to={`/${a.path}`}>{t(a.text)}</NavLink></NavItem>;
            })}
          </NavList>
        </Nav>
      </PageSidebarBody>
    </PageSidebar>
  );
  return (
    <KitPage masthead={masthead} sidebar={sidebar} skipToContent={<SkipToContent href="#main">{t("skip")}</SkipToContent>} mainContainerId="main">
      <OldTab />
      <Suspense fallback={<Loading />}>
        <Routes>
          <Route index element={<Navigate to={`/${first}`} replace />} />
          {seen.map((a) => <Route key={a.path} path={`/${a.path}/*`} element={<a.screen />} />)}
          <Route path="*" element={<NotFound />} />
        </Routes>
      </Suspense>
    </KitPage>
  );
}
