//! What the user may set.

const std = @import("std");
const wasmlx = @import("wasmlx");

const Config = @This();

/// Everything in the JSON object is optional.
const Fields = struct {
    options: std.json.Value = .null,
    max_tokens: ?u32 = null,
    stop: []const []const u8 = &.{},
    seed: ?u64 = null,
};

fields: std.json.Parsed(Fields),
/// For the template: a JSON object such as `{"enable_thinking": false}`.
options: []u8,
generate: wasmlx.contexts_generate_options_t,

/// Reads a JSON object.
pub fn parse(allocator: std.mem.Allocator, json: []const u8) !Config {
    // It outlives the text that it is read from.
    const fields = try std.json.parseFromSlice(Fields, allocator, json, .{ .allocate = .alloc_always });
    errdefer fields.deinit();
    const arena = fields.arena.allocator();
    const options: []u8 = switch (fields.value.options) {
        .null => try arena.dupe(u8, "{}"),
        else => |options| try std.json.Stringify.valueAlloc(arena, options, .{}),
    };
    const stops = try arena.alloc(wasmlx.wasmlx_string_t, fields.value.stop.len);
    for (stops, fields.value.stop) |*stop, text| stop.* = .{ .ptr = @constCast(text.ptr), .len = text.len };
    var generate = std.mem.zeroes(wasmlx.contexts_generate_options_t);
    generate.max_tokens = .{ .is_some = fields.value.max_tokens != null, .val = fields.value.max_tokens orelse 0 };
    // A pointer that points nowhere is refused at the boundary, but for null.
    generate.stops = .{ .ptr = if (stops.len > 0) stops.ptr else null, .len = stops.len };
    generate.seed = .{ .is_some = fields.value.seed != null, .val = fields.value.seed orelse 0 };
    return .{ .fields = fields, .options = options, .generate = generate };
}

pub fn deinit(config: *Config) void {
    config.fields.deinit();
}
