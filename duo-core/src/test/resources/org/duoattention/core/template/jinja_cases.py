#!/usr/bin/env python3
"""Computes the expected values of the template tests with Python's jinja2 3.1, set up as transformers sets it up.

usage: jinja_cases.py
           recomputes expressions.json and conversations.json beside this script, whose templates and conversations are
           written by hand; to add one, add it there with any value and run this
       jinja_cases.py FOLDER
           writes FOLDER/conversations.json: the same conversations with every .jinja file of the folder
"""

import copy
import datetime
import json
import pathlib
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox


class Generation(jinja2.ext.Extension):
    """The tag {% generation %}, which marks what the assistant says and changes nothing in the text."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_render")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def strftime_now(format):
    return datetime.datetime(2024, 7, 26, 13, 5, 9).strftime(format)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
)
environment.filters["tojson"] = tojson
environment.globals["raise_exception"] = raise_exception
environment.globals["strftime_now"] = strftime_now


def outcome(template, variables):
    try:
        return ["prints", environment.from_string(template).render(**copy.deepcopy(variables))]
    except Exception as error:
        raised = type(error) is jinja2.exceptions.TemplateError
        return ["raises", str(error)] if raised else ["fails"]


def expression(case, variables):
    # "refused" is written by hand: Python can do it, this project says that it cannot.
    return case[:2] if case[1] == "refused" else [case[0], *outcome(case[0], variables)]


def conversation(template, given):
    variables = {
        "messages": given["messages"],
        "tools": given["tools"],
        "documents": None,
        "add_generation_prompt": given["addGenerationPrompt"],
        "bos_token": "<s>",
        "eos_token": "</s>",
        **given["variables"],
    }
    return outcome(template, variables)


def conversations(folder, given):
    cases = []
    for path in sorted(folder.glob("*.jinja")):
        template = path.read_bytes().decode("utf-8")
        for name, one in given.items():
            cases.append([path.name, name, *conversation(template, one)])
    return cases


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def write(path, key, values, cases):
    lines = ",\n".join(json.dumps(case) for case in cases)
    path.write_text(f'{{"{key}": {json.dumps(values)},\n"cases": [\n{lines}\n]}}\n', encoding="utf-8")


here = pathlib.Path(__file__).parent
given = read(here / "conversations.json")["conversations"]
if len(sys.argv) == 2:
    folder = pathlib.Path(sys.argv[1])
    write(folder / "conversations.json", "conversations", given, conversations(folder, given))
else:
    write(here / "conversations.json", "conversations", given, conversations(here, given))
    expressions = read(here / "expressions.json")
    variables = expressions["variables"]
    cases = [expression(case, variables) for case in expressions["cases"]]
    write(here / "expressions.json", "variables", variables, cases)
