// The areas of the console: where each is, what it takes to see it, and its chunk.  An area adds its line here and its
// folder screens/AREA with index.tsx (a default export: <Routes> below the path) and its texts.
import { type ComponentType, lazy, type LazyExoticComponent } from "react";
import type { Permission } from "./session";

export interface Area {
  path: string; // first segment
  text: string; // key of common: "nav_devices"
  permission: Permission | null;
  screen: LazyExoticComponent<ComponentType>;
}
export const areas: Area[] = [
  { path: "overview", text: "nav_overview", permission: "device:read", screen: lazy(() => import("../screens/overview")) },
  { path: "devices", text: "nav_devices", permission: "device:read", screen: lazy(() => import("../screens/devices")) },
  { path: "groups", text: "nav_groups", permission: "device:read", screen: lazy(() => import("../screens/groups")) },
  { path: "settings", text: "nav_settings", permission: "settings:read", screen: lazy(() => import("../screens/settings")) },
  { path: "changes", text: "nav_changes", permission: "settings:read", screen: lazy(() => import("../screens/changes")) },
  { path: "rollouts", text: "nav_rollouts", permission: "device:read", screen: lazy(() => import("../screens/rollouts")) },
  { path: "messages", text: "nav_messages", permission: "events:read", screen: lazy(() => import("../screens/messages")) },
  { path: "events", text: "nav_events", permission: "events:read", screen: lazy(() => import("../screens/events")) },
  { path: "figures", text: "nav_figures", permission: "events:read", screen: lazy(() => import("../screens/figures")) },
  { path: "alerts", text: "nav_alerts", permission: "device:read", screen: lazy(() => import("../screens/alerts")) },
  { path: "commands", text: "nav_commands", permission: "device:read", screen: lazy(() => import("../screens/commands")) },
  { path: "audit", text: "nav_audit", permission: "audit:read", screen: lazy(() => import("../screens/audit")) },
  { path: "accounts", text: "nav_accounts", permission: null, screen: lazy(() => import("../screens/accounts")) },
  { path: "parent", text: "nav_parent", permission: "device:read", screen: lazy(() => import("../screens/parent")) },
  { path: "io", text: "nav_io", permission: null, screen: lazy(() => import("../screens/io")) },
  { path: "reference", text: "nav_reference", permission: null, screen: lazy(() => import("../screens/reference")) },
  { path: "wizard", text: "nav_wizard", permission: "device:read", screen: lazy(() => import("../screens/wizard")) },
];
