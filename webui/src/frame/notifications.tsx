// How many alerts fire, and which: small, in the header; the alerts' own screen has the rest.
import { useState } from "react";
import { Link } from "react-router";
import { useTranslation } from "../i18n/use";
import { useGet } from "../api/use";
import { Badge, BellIcon, Dropdown, DropdownItem, DropdownList, Foreign, MenuToggle } from "../ui";
import { areas } from "./areas";
import { useSession } from "./session";

const LOOK_MS = 30_000, SHOWN = 6;

export function Notifications() {
  const { t } = useTranslation(), { may } = useSession(), [open, setOpen] = useState(false), on = may("device:read") && areas.some((a) => a.path === "alerts");
  const alerts = useGet("/api/v1/alerts", { query: { state: "firing", limit: 20 } }, { enabled: on, every: LOOK_MS }), items = alerts.data?.data.items ?? [];
  if (!on) return null;
  return (
    <Dropdown isOpen={open} onOpenChange={setOpen} onSelect={() => setOpen(false)} popperProps={{ position: "right" }}
      toggle={(ref) => <MenuToggle ref={ref} variant="plain" isExpanded={open} aria-label={t("notifications", { count: items.length })} onClick={() => setOpen(!open)}><BellIcon />{items.length > 0 ? <> <Badge>{items.length}</Badge></> : null}</MenuToggle>}>
      <DropdownList>
        {items.slice(0, SHOWN).map((a) => <DropdownItem key={a.id} component={(props) => <Link {...props} to={`/alerts/${a.id}`} />}><Foreign text={a.text} /></DropdownItem>)}
        <DropdownItem key="all" component={(props) => <Link {...props} to="/alerts" />}>{t("notifications_all")}</DropdownItem>
      </DropdownList>
    </Dropdown>
  );
}
