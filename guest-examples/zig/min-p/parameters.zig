//! What the policy can be told.

const std = @import("std");

pub const Parameters = struct {
    /// A token stays if it is at least so many times as likely as the best: 0 to 1.
    min_p: f32 = 0.1,
    /// The scores of those that stay are divided by it; 0 takes the best token.
    temperature: f32 = 1,
};

pub const Parsed = union(enum) {
    parameters: Parameters,
    /// A sentence that names the parameter that is wrong.
    wrong: []u8,
};

/// Reads a JSON object such as `{"min_p": 0.1, "temperature": 0.8}`.
pub fn parse(allocator: std.mem.Allocator, json: []const u8) !Parsed {
    const value = std.json.parseFromSlice(std.json.Value, allocator, json, .{}) catch return notAnObject(allocator);
    defer value.deinit();
    if (value.value != .object) return notAnObject(allocator);

    var parameters: Parameters = .{};
    var fields = value.value.object.iterator();
    while (fields.next()) |field| {
        const name = field.key_ptr.*;
        const number = asNumber(field.value_ptr.*);
        if (std.mem.eql(u8, name, "min_p")) {
            parameters.min_p = inRange(number, 1) orelse return outOfRange(allocator, name, 1);
        } else if (std.mem.eql(u8, name, "temperature")) {
            parameters.temperature = inRange(number, 100) orelse return outOfRange(allocator, name, 100);
        } else {
            const message = "`{s}` is not a parameter of this policy; it has min_p and temperature";
            return .{ .wrong = try std.fmt.allocPrint(allocator, message, .{name}) };
        }
    }
    return .{ .parameters = parameters };
}

fn asNumber(value: std.json.Value) ?f64 {
    return switch (value) {
        .integer => |integer| @floatFromInt(integer),
        .float => |float| float,
        else => null,
    };
}

fn inRange(number: ?f64, most: f64) ?f32 {
    const value = number orelse return null;
    return if (value >= 0 and value <= most) @floatCast(value) else null;
}

fn outOfRange(allocator: std.mem.Allocator, name: []const u8, most: u8) !Parsed {
    return .{ .wrong = try std.fmt.allocPrint(allocator, "`{s}` must be a number from 0 to {d}", .{ name, most }) };
}

fn notAnObject(allocator: std.mem.Allocator) !Parsed {
    return .{ .wrong = try allocator.dupe(u8, "the parameters must be a JSON object") };
}
