import { Route, Routes } from "react-router";
import { addTexts } from "../../i18n";
import { NotFound } from "../../frame/frame";
import { AuditLog } from "./log";
import en from "./texts.en.json";
import ja from "./texts.ja.json";

addTexts("audit", { en, ja });

export default function Audit() {
  return <Routes><Route index element={<AuditLog />} /><Route path="*" element={<NotFound />} /></Routes>;
}
