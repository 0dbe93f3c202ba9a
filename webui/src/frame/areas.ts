// The areas of the console: where each is, what it takes to see it, and its chunk.  An area adds its line here and its
// folder screens/AREA with index.tsx (a default export: <Routes> below the path) and its texts.
import { type ComponentType, lazy, type LazyExoticComponent } from "react";
import type { Permission } from "./session";

export interface Area {
  path: string; // first segment
  text: string; // key of common: "nav_devices"
  permission: Permission | null;
  /** After "g": goes there. */
  key: string;
  screen: LazyExoticComponent<ComponentType>;
}
export const areas: Area[] = [
  { path: "overview", text: "nav_overview", permission: "device:read", key: "o", screen: lazy(() => import("../screens/overview")) },
  { path: "devices", text: "nav_devices", permission: "device:read", key: "d", screen: lazy(() => import("../screens/devices")) },
  { path: "groups", text: "nav_groups", permission: "device:read", key: "g", screen: lazy(() => import("../screens/groups")) },
  { path: "settings", text: "nav_settings", permission: "settings:read", key: "s", screen: lazy(() => import("../screens/settings")) },
  { path: "changes", text: "nav_changes", permission: "settings:read", key: "c", screen: lazy(() => import("../screens/changes")) },
  { path: "rollouts", text: "nav_rollouts", permission: "device:read", key: "r", screen: lazy(() => import("../screens/rollouts")) },
  { path: "messages", text: "nav_messages", permission: "events:read", key: "m", screen: lazy(() => import("../screens/messages")) },
  { path: "events", text: "nav_events", permission: "events:read", key: "e", screen: lazy(() => import("../screens/events")) },
  { path: "figures", text: "nav_figures", permission: "events:read", key: "f", screen: lazy(() => import("../screens/figures")) },
  { path: "alerts", text: "nav_alerts", permission: "device:read", key: "a", screen: lazy(() => import("../screens/alerts")) },
  { path: "commands", text: "nav_commands", permission: "device:read", key: "j", screen: lazy(() => import("../screens/commands")) },
  { path: "audit", text: "nav_audit", permission: "audit:read", key: "l", screen: lazy(() => import("../screens/audit")) },
  { path: "accounts", text: "nav_accounts", permission: null, key: "u", screen: lazy(() => import("../screens/accounts")) },
  { path: "parent", text: "nav_parent", permission: "device:read", key: "p", screen: lazy(() => import("../screens/parent")) },
  { path: "io", text: "nav_io", permission: null, key: "i", screen: lazy(() => import("../screens/io")) },
  { path: "reference", text: "nav_reference", permission: null, key: "x", screen: lazy(() => import("../screens/reference")) },
  { path: "wizard", text: "nav_wizard", permission: "device:read", key: "w", screen: lazy(() => import("../screens/wizard")) },
];
