import { Route, Routes } from "react-router";
import { NotFound } from "../../frame/frame";
import { CommandDetail } from "./detail";
import { CommandList } from "./list";
import "./words";

export default function Commands() {
  return (
    <Routes>
      <Route index element={<CommandList />} />
      <Route path=":id" element={<CommandDetail />} />
      <Route path="*" element={<NotFound />} />
    </Routes>
  );
}
