//! ChatML: each message between <|im_start|> and <|im_end|>, with tools as Hermes describes and calls them.
//!
//! `wasmlx component build` makes the module `wasmlx`: the types and functions of the interfaces in WIT. Who owns what:
//! strings and lists that a function is given are its own to free; what it returns must come of the C allocator, and
//! the host frees it.

const std = @import("std");
const wasmlx = @import("wasmlx");
const Answer = @import("Answer.zig");
const Prompt = @import("Prompt.zig");
const json = @import("json.zig");

/// Nobody would read the message of a panic: it traps.
pub const panic = std.debug.no_panic;

const allocator = std.heap.c_allocator;

const start = "<|im_start|>";
const end = "<|im_end|>";
const before_tools = "You may call tools. The tools are:\n<tools>\n";
const after_tools =
    "</tools>\nTo call a tool, answer with <tool_call>{\"name\": NAME, \"arguments\": ARGUMENTS}</tool_call>";

/// Why a conversation is not rendered: a sentence, or memory that ran out.
const Failure = error{ Invalid, OutOfMemory };

fn render(conversation: *const wasmlx.types_conversation_t, prompt: *Prompt, sentence: *[]u8) Failure!void {
    if (conversation.context.is_some) return refuse(sentence, "a raw context");
    if (conversation.documents.len > 0) return refuse(sentence, "documents");

    var messages = conversation.messages.ptr[0..conversation.messages.len];
    const tools = conversation.tools.ptr[0..conversation.tools.len];
    const has_system = messages.len > 0 and std.mem.eql(u8, slice(messages[0].role), "system");
    if (has_system or tools.len > 0) {
        try prompt.control(start);
        try prompt.trusted("system\n");
        if (has_system) {
            try writeContent(prompt, &messages[0]);
            messages = messages[1..];
        }
        if (tools.len > 0) {
            if (has_system) try prompt.trusted("\n\n");
            try describeTools(prompt, tools, sentence);
        }
        try endMessage(prompt);
    }
    for (messages) |*message| {
        try prompt.control(start);
        try prompt.untrusted(slice(message.role));
        try prompt.trusted("\n");
        try writeContent(prompt, message);
        if (std.mem.eql(u8, slice(message.role), "assistant")) {
            for (message.tool_calls.ptr[0..message.tool_calls.len]) |*call| try writeCall(prompt, call);
        }
        try endMessage(prompt);
    }
    if (conversation.add_generation_prompt) {
        try prompt.control(start);
        try prompt.trusted("assistant\n");
    }
}

fn refuse(sentence: *[]u8, what: []const u8) Failure {
    const message = "this template takes no {s}: use the model's own, by the jinja template";
    sentence.* = try std.fmt.allocPrint(allocator, message, .{what});
    return error.Invalid;
}

fn slice(string: wasmlx.wasmlx_string_t) []const u8 {
    return string.ptr[0..string.len];
}

fn endMessage(prompt: *Prompt) !void {
    try prompt.control(end);
    try prompt.trusted("\n");
}

fn writeContent(prompt: *Prompt, message: *const wasmlx.types_message_t) !void {
    for (message.content.ptr[0..message.content.len]) |part| try prompt.untrusted(slice(part.val.text));
}

fn describeTools(prompt: *Prompt, tools: []const wasmlx.types_tool_t, sentence: *[]u8) Failure!void {
    try prompt.trusted(before_tools);
    for (tools) |tool| {
        const given = slice(tool.parameters);
        const parameters = json.respell(allocator, if (given.len == 0) "{}" else given) catch |failure| switch (failure) {
            error.OutOfMemory => return error.OutOfMemory,
            error.Syntax => {
                const message = "the parameters of tool `{s}` are not JSON";
                sentence.* = try std.fmt.allocPrint(allocator, message, .{slice(tool.name)});
                return error.Invalid;
            },
        };
        defer allocator.free(parameters);
        const name = try json.quote(allocator, slice(tool.name));
        defer allocator.free(name);
        const description = try json.quote(allocator, slice(tool.description));
        defer allocator.free(description);
        const described = try std.mem.concat(allocator, u8, &.{
            "{\"type\": \"function\", \"function\": {\"name\": ",
            name,
            ", \"description\": ",
            description,
            ", \"parameters\": ",
            parameters,
            "}}",
        });
        defer allocator.free(described);
        try prompt.untrusted(described);
        try prompt.trusted("\n");
    }
    try prompt.trusted(after_tools);
}

fn writeCall(prompt: *Prompt, call: *const wasmlx.types_tool_call_t) Failure!void {
    try prompt.trusted("<tool_call>{\"name\": \"");
    try prompt.untrusted(slice(call.name));
    try prompt.trusted("\", \"arguments\": ");
    const given = slice(call.arguments);
    const written = json.textOrRespelt(allocator, if (given.len == 0) "{}" else given) catch |failure| switch (failure) {
        error.OutOfMemory => return error.OutOfMemory,
        // What a model wrote need not be JSON; then it is the text itself.
        error.Syntax => try allocator.dupe(u8, given),
    };
    defer allocator.free(written);
    try prompt.untrusted(written);
    try prompt.trusted("}</tool_call>");
}

/// Memory that runs out is a panic: the host ends the turn.
fn orPanic(result: anytype) @typeInfo(@TypeOf(result)).error_union.payload {
    return result catch @panic("out of memory");
}

/// A slice as a list of the interfaces. A pointer that points nowhere is refused at the boundary, but for null.
fn list(comptime List: type, items: anytype) List {
    return .{ .ptr = if (items.len > 0) items.ptr else null, .len = items.len };
}

/// This template asks nothing of its configuration.
export fn exports_template_configure(config: *wasmlx.wasmlx_string_t, _: *wasmlx.types_error_t) bool {
    wasmlx.wasmlx_string_free(config);
    return true;
}

export fn exports_template_render(
    conversation: *wasmlx.types_conversation_t,
    segments: *wasmlx.exports_template_list_segment_t,
    err: *wasmlx.types_error_t,
) bool {
    defer wasmlx.types_conversation_free(conversation);
    var prompt: Prompt = .{ .allocator = allocator };
    defer prompt.deinit();
    var sentence: []u8 = &.{};
    render(conversation, &prompt, &sentence) catch |failure| switch (failure) {
        error.OutOfMemory => @panic("out of memory"),
        error.Invalid => {
            err.tag = wasmlx.TYPES_ERROR_INVALID_INPUT;
            err.val = .{ .invalid_input = .{ .ptr = sentence.ptr, .len = sentence.len } };
            return false;
        },
    };
    segments.* = list(wasmlx.exports_template_list_segment_t, orPanic(prompt.finish()));
    return true;
}

export fn exports_template_stops(stops: *wasmlx.wasmlx_list_string_t) void {
    const markers = orPanic(allocator.alloc(wasmlx.wasmlx_string_t, 1));
    markers[0] = list(wasmlx.wasmlx_string_t, orPanic(allocator.dupe(u8, end)));
    stops.* = list(wasmlx.wasmlx_list_string_t, markers);
}

export fn exports_template_constructor_parser(
    context: *wasmlx.types_answer_context_t,
) wasmlx.exports_template_own_parser_t {
    defer wasmlx.types_answer_context_free(context);
    const answer = orPanic(allocator.create(Answer));
    answer.* = .init(allocator, slice(context.prompt_end), context.tools.len > 0);
    return wasmlx.exports_template_parser_new(@ptrCast(answer));
}

export fn exports_template_parser_destructor(answer: *Answer) void {
    answer.deinit();
    allocator.destroy(answer);
}

export fn exports_template_method_parser_push(
    answer: *Answer,
    text: *wasmlx.wasmlx_string_t,
    outputs: *wasmlx.exports_template_list_output_t,
) void {
    defer wasmlx.wasmlx_string_free(text);
    outputs.* = list(wasmlx.exports_template_list_output_t, orPanic(answer.push(slice(text.*))));
}

export fn exports_template_method_parser_finish(
    answer: *Answer,
    outputs: *wasmlx.exports_template_list_output_t,
) void {
    outputs.* = list(wasmlx.exports_template_list_output_t, orPanic(answer.finish()));
}
