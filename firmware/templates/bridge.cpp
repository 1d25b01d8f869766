// Runs the verilated design cycle by cycle. "design.h" holds its ports' shapes.
#include "design.h"
#include "verilated.h"
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace {

constexpr size_t words(size_t bits) { return (bits + 31) / 32; }

// A port of up to 64 bits is an integer, a wider one an array of 32-bit words.
template <class Port> void write_port(Port &port, const uint32_t *from, size_t count) {
    if constexpr (std::is_integral_v<Port>) {
        uint64_t value = from[0];
        if (count > 1) value |= uint64_t(from[1]) << 32;
        port = static_cast<Port>(value);
    } else {
        for (size_t i = 0; i < count; ++i) port[i] = from[i];
    }
}

template <class Port> void read_port(const Port &port, uint32_t *into, size_t count) {
    if constexpr (std::is_integral_v<Port>) {
        const uint64_t value = port;
        into[0] = static_cast<uint32_t>(value);
        if (count > 1) into[1] = static_cast<uint32_t>(value >> 32);
    } else {
        for (size_t i = 0; i < count; ++i) into[i] = port[i];
    }
}

void put(uint32_t *into, size_t at, size_t width, uint64_t value) {
    for (size_t done = 0; done < width;) {
        const size_t word = (at + done) / 32, low = (at + done) % 32;
        const size_t take = (32 - low < width - done) ? 32 - low : width - done;
        const uint64_t mask = (uint64_t(1) << take) - 1;
        into[word] |= static_cast<uint32_t>(((value >> done) & mask) << low);
        done += take;
    }
}

uint64_t get(const uint32_t *from, size_t at, size_t width) {
    uint64_t value = 0;
    for (size_t done = 0; done < width;) {
        const size_t word = (at + done) / 32, low = (at + done) % 32;
        const size_t take = (32 - low < width - done) ? 32 - low : width - done;
        const uint64_t mask = (uint64_t(1) << take) - 1;
        value |= ((uint64_t(from[word]) >> low) & mask) << done;
        done += take;
    }
    return value;
}

void drive(design::Top &top, const double *values) {
    uint32_t packed[words(design::in_size * design::in_width)] = {};
    const double scale = std::ldexp(1.0, design::in_fraction);
    for (size_t i = 0; i < design::in_size; ++i) {
        const auto integer = static_cast<int64_t>(std::floor(values[i] * scale));
        put(packed, i * design::in_width, design::in_width, static_cast<uint64_t>(integer));
    }
    write_port(top.model_inp, packed, words(design::in_size * design::in_width));
}

void sample(const design::Top &top, double *values) {
    uint32_t packed[words(design::out_size * design::out_width)] = {};
    read_port(top.model_out, packed, words(design::out_size * design::out_width));
    const double step = std::ldexp(1.0, -design::out_fraction);
    for (size_t i = 0; i < design::out_size; ++i) {
        uint64_t raw = get(packed, i * design::out_width, design::out_width);
        if (design::out_signed && design::out_width < 64 && (raw >> (design::out_width - 1)) & 1)
            raw |= ~uint64_t(0) << design::out_width;
        values[i] = (design::out_signed ? double(static_cast<int64_t>(raw)) : double(raw)) * step;
    }
}

} // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT size_t rtl_inputs() { return design::in_size; }

EXPORT size_t rtl_outputs() { return design::out_size; }

// Presents one row of `in` [events][in_size] a clock cycle and writes what the output port holds
// after each rising edge to `out` [cycles][out_size]; the last row stays once all are in.
EXPORT void rtl_stream(const double *in, size_t events, double *out, size_t cycles) {
    auto context = std::make_unique<VerilatedContext>();
    auto top = std::make_unique<design::Top>(context.get());
    top->clk = 0;
    for (size_t cycle = 0; cycle < cycles; ++cycle) {
        if (cycle < events) drive(*top, in + cycle * design::in_size);
        top->clk = 0;
        top->eval();
        top->clk = 1;
        top->eval();
        sample(*top, out + cycle * design::out_size);
    }
    top->final();
}
