// The mail queue of a device: how much waits, each message with why it waits, and what to do about it.
import { useMemo, useState } from "react";
import { useTranslation } from "../../i18n/use";
import { useGet } from "../../api/use";
import { AreaLink } from "../../frame/arealink";
import { messagesLink } from "../../frame/links";
import {
  Alert, Button, type Column, ConfirmDialog, DataTable, Empty, FilterBar, Flex, FlexItem, Foreign, numberText, Stack, StackItem, Time, useUrlState,
} from "../../ui";
import { JobView, useCommand } from "../commands/job";
import { useOutput } from "../commands/output";
import type { Kind } from "../commands/words";
import type { TabProps } from "./detail";
import { MayNot, useGive } from "./give";
import { type Device, sizeText } from "./words";

const QUEUES = ["incoming", "active", "deferred", "hold"] as const;
const LISTED = 1000, PAGE = 50, OUTPUT_MAX = 8 * 1024 * 1024;
type QueueName = (typeof QUEUES)[number];
interface Message { queue_id: string; queue_name: string; message_size: number; arrival_time: number; sender: string; recipients: { address: string; delay_reason?: string }[] }
type Action = Extract<Kind, "queue-flush" | "queue-hold" | "queue-release" | "queue-delete">;
const ACTIONS: Action[] = ["queue-flush", "queue-hold", "queue-release", "queue-delete"];

function linesOf(text: string): Message[] {
  return text.split("\n").flatMap((line) => {
    try {
      const m = JSON.parse(line) as Partial<Message>;
      return typeof m.queue_id === "string" ? [{ queue_name: "", message_size: 0, arrival_time: 0, sender: "", recipients: [], ...m } as Message] : [];
    } catch {
      return []; // the last line of a piece that is not whole yet
    }
  });
}

function Sizes({ device }: { device: Device }) {
  const { t } = useTranslation("devices"), { t: common } = useTranslation(), queue = device.health?.queue;
  return (
    <Flex spaceItems={{ default: "spaceItemsMd" }}>
      {QUEUES.map((q) => <FlexItem key={q}>{t(`queue_${q}`)} <strong>{queue?.[q] === undefined ? common("unknown") : numberText(queue[q])}</strong></FlexItem>)}
      <FlexItem className="inari-small">{t("as_reported")} <Time at={device.last_seen} relative /></FlexItem>
    </Flex>
  );
}

interface Asked { action: Action; ids: string[] | null; queue: QueueName | "all" }

function AskDialog({ asked, device, total, onGo, onClose }: { asked: Asked; device: Device; total: number; onGo: (reason: string) => Promise<unknown>; onClose: () => void }) {
  const { t } = useTranslation("devices"), { action, ids } = asked, gone = action === "queue-delete";
  const count = ids === null ? total : ids.length, typed = ids === null ? device.name : String(count);
  return (
    <ConfirmDialog title={t(ids === null ? `ask_${action}_all` : `ask_${action}`, { count, name: device.name, queue: t(`queue_${asked.queue}`) })} verb={t(`do_${action}`)} danger={gone} reason="optional"
      {...(gone ? { typed } : {})} onConfirm={onGo} onClose={onClose}>
      <p>{t(`ask_${action}_help`)}</p>
      {ids === null ? <p>{t("queue_all_help", { queue: t(`queue_${asked.queue}`) })}</p> : <p>{ids.slice(0, 20).map((x) => <code key={x}>{x} </code>)}{ids.length > 20 ? "…" : ""}</p>}
    </ConfirmDialog>
  );
}

function Messages({ all, selected, onSelect }: { all: Message[]; selected: Set<string>; onSelect: (s: Set<string>) => void }) {
  const { t } = useTranslation("devices"), { t: common } = useTranslation(), url = useUrlState();
  const text = url.get("text").toLowerCase(), at = Math.max(0, Number(url.get("at")) || 0);
  const queue = url.get("queue");
  const found = useMemo(() => all.filter((m) => (queue === "" || m.queue_name === queue) && (text === "" || JSON.stringify(m).toLowerCase().includes(text))), [all, text, queue]);
  const columns: Column<Message>[] = [
    { key: "id", label: t("queue_id"), cell: (m) => <AreaLink to={messagesLink({ queue_id: m.queue_id })}><code><Foreign text={m.queue_id} /></code></AreaLink> },
    { key: "queue", label: t("queue"), cell: (m) => t(`queue_${m.queue_name}`, { defaultValue: m.queue_name }) },
    { key: "at", label: t("arrived"), cell: (m) => <Time at={m.arrival_time * 1000} relative /> },
    { key: "size", label: t("size"), number: true, cell: (m) => sizeText(m.message_size) },
    { key: "from", label: t("sender"), wide: true, cell: (m) => <Foreign text={m.sender || "<>"} /> },
    { key: "to", label: t("recipients_why"), wide: true, cell: (m) => (
      <>
        {m.recipients.slice(0, 3).map((r, i) => <div key={i}><Foreign text={r.address} />{r.delay_reason ? <div className="inari-small"><Foreign text={r.delay_reason} /></div> : null}</div>)}
        {m.recipients.length > 3 ? <div>{t("more_recipients", { count: m.recipients.length - 3 })}</div> : null}
      </>
    ) },
  ];
  return (
    <>
      <DataTable caption={t("queue")} columns={columns} rows={found.slice(at, at + PAGE)} rowKey={(m) => m.queue_id} empty={all.length === 0 ? <Empty title={t("queue_empty")} /> : "filtered"} selected={selected} onSelect={onSelect} />
      {found.length > PAGE ? (
        <Flex>
          <FlexItem>{t("queue_shown", { from: numberText(at + 1), to: numberText(Math.min(at + PAGE, found.length)), total: numberText(found.length) })}</FlexItem>
          <FlexItem align={{ default: "alignRight" }}><Button variant="secondary" isDisabled={at === 0} onClick={() => url.set({ at: "" }, { push: true })}>{common("first_page")}</Button></FlexItem>
          <FlexItem><Button variant="secondary" isDisabled={at + PAGE >= found.length} onClick={() => url.set({ at: String(at + PAGE) }, { push: true })}>{common("next_page")}</Button></FlexItem>
        </Flex>
      ) : null}
    </>
  );
}

export function QueueTab({ device }: TabProps) {
  const { t } = useTranslation("devices"), url = useUrlState(), look = useGive(device, "look"), act = useGive(device), [asked, setAsked] = useState<Asked | null>(null), [selected, setSelected] = useState<Set<string>>(new Set());
  const last = useGet("/api/v1/commands", { query: { device: device.name, kind: "queue-show", state: "done", limit: 1 } }, { enabled: look.id === "" });
  const queue: QueueName | "all" = QUEUES.find((q) => q === url.get("queue")) ?? "all", shown = look.id !== "" ? look.id : (last.data?.data.items[0]?.id ?? "");
  const { command } = useCommand(shown), out = useOutput(command, OUTPUT_MAX, look.may), all = useMemo(() => linesOf(out.text), [out.text]);
  const again = (q = queue) => look.begin({ kind: "queue-show", args: { queue: q, limit: LISTED } });
  const result = command?.result as { messages?: number; bytes?: number; listed?: number; words?: string; queues?: Record<string, number> } | null | undefined;
  const listedQueue = ((command?.args as { queue?: string } | undefined)?.queue ?? "all") as QueueName | "all";
  const scope = queue === "all" ? listedQueue : queue, there = scope === "all" ? (result?.messages ?? 0) : (result?.queues?.[scope] ?? 0);
  const go = async (reason: string) => {
    if (asked === null) return;
    await act.give({ kind: asked.action, reason, args: asked.ids === null ? { all: true, queue: asked.queue } : { ids: asked.ids } });
    setSelected(new Set());
  };
  return (
    <Stack hasGutter>
      <StackItem><Sizes device={device} /><MayNot device={device} /></StackItem>
      {act.id === "" ? null : <StackItem><JobView key={act.id} id={act.id} /></StackItem>}
      <StackItem>
        <FilterBar filters={[
          { kind: "choice", name: "queue", label: t("queue"), options: QUEUES.map((q) => ({ value: q, label: t(`queue_${q}`) })) },
          { kind: "text", name: "text", label: t("queue_text") },
        ]}>
          <FlexItem><Button isDisabled={!look.may} isLoading={look.busy} onClick={() => again()}>{t(shown === "" ? "queue_look" : "queue_look_again")}</Button></FlexItem>
        </FilterBar>
      </StackItem>
      {shown === "" ? <StackItem><Empty title={t("queue_not_looked")}>{t("queue_not_looked_help")}</Empty></StackItem> : command === undefined || command.state !== "done" ? <StackItem><JobView key={shown} id={shown} printed={false} /></StackItem> : (
        <>
          <StackItem>
            <p>{t("queue_as_of", { queue: t(`queue_${listedQueue}`), count: result?.messages ?? 0, size: sizeText(result?.bytes ?? 0) })} <Time at={command.ended_at} relative /> (<Time at={command.ended_at} />)</p>
            {(result?.messages ?? 0) > (result?.listed ?? 0) ? <p>{t("queue_only", { count: result?.listed ?? 0 })}</p> : null}
            {result?.words ? <Alert isInline variant="warning" component="p" title={t("daemon_said")}><Foreign text={result.words} /></Alert> : null}
          </StackItem>
          <StackItem>
            <Flex spaceItems={{ default: "spaceItemsSm" }} alignItems={{ default: "alignItemsCenter" }}>
              <FlexItem>{t("selected", { count: selected.size })}</FlexItem>
              {ACTIONS.map((a) => <FlexItem key={a}><Button variant="secondary" isDanger={a === "queue-delete"} size="sm" isDisabled={!act.may || selected.size === 0} onClick={() => setAsked({ action: a, ids: [...selected], queue: listedQueue })}>{t(`do_${a}`)}</Button></FlexItem>)}
            </Flex>
          </StackItem>
          <StackItem><Messages all={all} selected={selected} onSelect={setSelected} /></StackItem>
          <StackItem>
            <Flex spaceItems={{ default: "spaceItemsSm" }} alignItems={{ default: "alignItemsCenter" }}>
              <FlexItem>{t("queue_whole", { queue: t(`queue_${scope}`) })}</FlexItem>
              {ACTIONS.map((a) => <FlexItem key={a}><Button variant="link" isDanger={a === "queue-delete"} size="sm" isDisabled={!act.may || there === 0} onClick={() => setAsked({ action: a, ids: null, queue: scope })}>{t(`do_${a}`)}</Button></FlexItem>)}
            </Flex>
          </StackItem>
        </>
      )}
      {asked === null ? null : <AskDialog asked={asked} device={device} total={there} onGo={go} onClose={() => setAsked(null)} />}
    </Stack>
  );
}
