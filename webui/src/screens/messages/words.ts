// Where a message can stand and why it can wait: the words are in texts, this is what there is and how it looks.
import type { TFunction } from "i18next";
import type { Schemas } from "../../api/client";
import type { Tone } from "../../ui";

export type MessageStatus = Schemas["MessageStatus"];
export const STATUSES = ["delivered", "deferred", "bounced", "expired", "rejected", "held", "queued", "discarded"] as const;
export const statusTone: Record<MessageStatus, Tone> = { delivered: "good", deferred: "warn", bounced: "bad", expired: "bad", rejected: "neutral", held: "warn", queued: "busy", discarded: "neutral" };

/** Reasons of a delivery that failed; "recipient" to "temporary" are those of a refusal. */
export const FAILED = ["connect", "timeout", "dns", "tls", "greylisted", "quota", "user-unknown", "policy", "size", "content", "other"] as const;
export const REFUSED = ["temporary", "relay", "recipient", "sender", "client", "helo", "size", "content", "other"] as const;
export const REASONS = [...new Set<string>([...FAILED, ...REFUSED])];

/** The reason as a word; one this console does not know stands as the parent said it. */
export function reasonText(t: TFunction, reason: string): string {
  return REASONS.includes(reason) ? t(`reason_${reason}`) : reason;
}

/** What a reason means and what to do about it. */
export function whyText(t: TFunction, status: MessageStatus, reason: string | null): { means: string; next: string } {
  const known = (status === "rejected" ? REFUSED : FAILED) as readonly string[];
  const key = reason !== null && known.includes(reason) ? reason : "other";
  return status === "rejected" ? { means: t(`refused_${key}`), next: t(`refused_next_${key}`) } : { means: t(`why_${key}`), next: t(`next_${key}`) };
}
