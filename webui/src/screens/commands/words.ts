// Texts and tones of orders; other areas that show an order take them from here.
import type { Schemas } from "../../api/client";
import { addTexts } from "../../i18n";
import type { Tone } from "../../ui";
import en from "./texts.en.json";
import ja from "./texts.ja.json";

addTexts("commands", { en, ja });

export type Command = Schemas["Command"];
export type Kind = Schemas["CommandKind"];
export const KINDS: Kind[] = ["self-check", "queue-show", "queue-flush", "queue-hold", "queue-release", "queue-delete", "service-start", "service-stop", "service-restart", "test-message", "debug-bundle", "rotate-key", "drain", "undrain", "dry-run", "drift-enforce"];
export const COMMAND_STATES = ["queued", "delivered", "running", "done", "failed", "interrupted", "expired", "cancelled", "unknown"] as const;
export const commandTone: Record<string, Tone> = { queued: "busy", delivered: "busy", running: "busy", done: "good", failed: "bad", interrupted: "bad", expired: "warn", cancelled: "neutral", unknown: "warn" };
export const hasEnded = (state: string | undefined) => state !== undefined && !["queued", "delivered", "running"].includes(state);
