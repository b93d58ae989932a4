// Reads queries in Kusto's language from standard input and writes what Microsoft's own language service says of each.
//
// A line of input:  {"query": "...", "tables": {"AppMetrics": {"Name": "string", ...}, ...}}
// A line of output: {"problems": [{"start": 3, "message": "..."}, ...], "columns": ["Value", ...]}
'use strict';
require('@kusto/language-service-next/bridge.min.js');
require('@kusto/language-service-next/Kusto.Language.Bridge.min.js');

const { KustoCode, GlobalState, Symbols } = Kusto.Language;

function list(bridged) {
  return Array.from({ length: bridged.Count }, (_, at) => bridged.getItem(at));
}

function globals(tables) {
  const symbols = Object.entries(tables).map(([name, columns]) =>
    Symbols.TableSymbol.From(`(${Object.entries(columns).map((column) => column.join(':')).join(', ')})`).WithName(name),
  );
  return GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.$ctor1('logs', symbols));
}

function analyzed({ query, tables }) {
  const code = KustoCode.ParseAndAnalyze(query, globals(tables));
  return {
    problems: list(code.GetDiagnostics()).map(({ Start, Message }) => ({ start: Start, message: Message })),
    columns: code.ResultType && code.ResultType.Columns ? list(code.ResultType.Columns).map(({ Name }) => Name) : [],
  };
}

require('node:readline')
  .createInterface({ input: process.stdin })
  .on('line', (line) => process.stdout.write(`${JSON.stringify(analyzed(JSON.parse(line)))}\n`));
