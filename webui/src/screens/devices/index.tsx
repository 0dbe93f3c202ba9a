import { Route, Routes } from "react-router";
import { addTexts } from "../../i18n";
import { NotFound } from "../../frame/frame";
import { DeviceDetail } from "./detail";
import { JoinDevice } from "./join";
import { DeviceList } from "./list";
import en from "./texts.en.json";
import ja from "./texts.ja.json";

addTexts("devices", { en, ja });

export default function Devices() {
  return (
    <Routes>
      <Route index element={<DeviceList />} />
      <Route path="+join" element={<JoinDevice />} />
      <Route path=":id" element={<DeviceDetail />} />
      <Route path="*" element={<NotFound />} />
    </Routes>
  );
}
