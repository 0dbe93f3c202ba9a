import { Route, Routes } from "react-router";
import { addTexts } from "../../i18n";
import { NotFound } from "../../frame/frame";
import en from "./texts.en.json";
import ja from "./texts.ja.json";
import { SetupWizard } from "./wizard";

addTexts("wizard", { en, ja });

export default function Wizard() {
  return <Routes><Route index element={<SetupWizard />} /><Route path="*" element={<NotFound />} /></Routes>;
}
