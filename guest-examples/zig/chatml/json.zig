//! JSON as a template needs it: spelt with `, ` and `: ` between elements, as Python spells it and models know it.

const std = @import("std");
const Allocator = std.mem.Allocator;
const Value = std.json.Value;

pub const Failure = error{ Syntax, OutOfMemory };

/// A JSON text in that spelling.
pub fn respell(allocator: Allocator, text: []const u8) Failure![]u8 {
    const parsed = try read(allocator, text);
    defer parsed.deinit();
    return dumps(allocator, parsed.value);
}

/// The text of a JSON string; any other value in that spelling.
pub fn textOrRespelt(allocator: Allocator, text: []const u8) Failure![]u8 {
    const parsed = try read(allocator, text);
    defer parsed.deinit();
    return switch (parsed.value) {
        .string => |string| allocator.dupe(u8, string),
        else => dumps(allocator, parsed.value),
    };
}

/// A text as a JSON string, quotes included.
pub fn quote(allocator: Allocator, text: []const u8) Allocator.Error![]u8 {
    return dumps(allocator, .{ .string = text });
}

/// Reads a value, its numbers as they are written.
pub fn read(allocator: Allocator, text: []const u8) Failure!std.json.Parsed(Value) {
    return std.json.parseFromSlice(Value, allocator, text, .{ .parse_numbers = false }) catch |failure| switch (failure) {
        error.OutOfMemory => error.OutOfMemory,
        else => error.Syntax,
    };
}

pub fn dumps(allocator: Allocator, value: Value) Allocator.Error![]u8 {
    var text: std.Io.Writer.Allocating = .init(allocator);
    defer text.deinit();
    // Writing fails only where memory runs out.
    write(&text.writer, value) catch return error.OutOfMemory;
    return text.toOwnedSlice();
}

fn write(writer: *std.Io.Writer, value: Value) std.Io.Writer.Error!void {
    switch (value) {
        .array => |array| {
            try writer.writeByte('[');
            for (array.items, 0..) |item, index| {
                if (index > 0) try writer.writeAll(", ");
                try write(writer, item);
            }
            try writer.writeByte(']');
        },
        .object => |object| {
            try writer.writeByte('{');
            for (object.keys(), object.values(), 0..) |name, item, index| {
                if (index > 0) try writer.writeAll(", ");
                try std.json.Stringify.value(name, .{}, writer);
                try writer.writeAll(": ");
                try write(writer, item);
            }
            try writer.writeByte('}');
        },
        else => try std.json.Stringify.value(value, .{}, writer),
    }
}
