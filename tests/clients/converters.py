"""Gives every tool to the converters of frameworks, as each has them from an MCP server, and checks
what a model sees then: no tool and no argument is lost, values of an enum are there, nothing is
demanded that is optional.

    python converters.py TOOLS.json
"""

import json
import sys

from agents.mcp import MCPServerStreamableHttp
from agents.mcp.util import MCPUtil
from google.genai._mcp_utils import mcp_to_gemini_tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_mcp_adapters.tools import convert_mcp_tool_to_langchain_tool
from mcp import types
from mcpo.utils.main import get_model_fields
from pydantic import create_model


# It is never connected to: the converter only reads its settings.
SERVER = MCPServerStreamableHttp(params={"url": "http://localhost/mcp"})


def langchain(tool):
    converted = convert_mcp_tool_to_langchain_tool(None, tool, connection={"transport": "stdio", "command": "", "args": []})
    return convert_to_openai_tool(converted)["function"]["parameters"]


def openai(tool):
    return MCPUtil.to_function_tool(tool, SERVER, convert_schemas_to_strict=False).params_json_schema


def openai_strict(tool):
    return MCPUtil.to_function_tool(tool, SERVER, convert_schemas_to_strict=True).params_json_schema


def google(tool):
    declared = mcp_to_gemini_tool(tool).function_declarations[0]
    return declared.model_dump(mode="json", exclude_none=True)["parameters"]


def mcpo(tool):
    schema = tool.inputSchema
    fields = get_model_fields(tool.name, schema["properties"], schema.get("required", []), {})
    return create_model(tool.name, **fields).model_json_schema()


# Strict mode requires all arguments in every schema, and optional ones may be null.
STRICT = {openai_strict}


def check(convert, tool):
    converted, given = convert(tool), tool.inputSchema
    lost = set(given["properties"]) - set(converted["properties"])
    assert not lost, f"lost: {lost}"
    for name, schema in given["properties"].items():
        told = json.dumps(converted["properties"][name])
        assert schema["description"].split()[0] in told, f"{name} has no description: {told}"
        # In an enum, or only in the description: mcpo drops every enum.
        lost = [value for value in schema.get("enum", []) if value not in told]
        assert not lost, f"{name} lost the values {lost}: {told}"
    demanded = set(converted.get("required", []))
    if convert not in STRICT:
        assert demanded == set(given["required"]), f"demanded: {demanded}"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        tools = [types.Tool.model_validate(tool) for tool in json.load(file)]
    failed = False
    for convert in (langchain, openai, openai_strict, google, mcpo):
        for tool in tools:
            try:
                check(convert, tool)
                print(f"{convert.__name__}: {tool.name}")
            except Exception as error:
                failed = True
                print(f"{convert.__name__}: {tool.name}: {type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(failed)


main()
