// The operations of an exam, drawn from a seed, and the faults of its scenario.
#pragma once

#include "snapshot.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace dkv {

// A SplitMix64 whose first multiplier is deliberately not the textbook's. The seed is the first state.
class Generator {
public:
    explicit Generator(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next();

private:
    std::uint64_t state_;
};

enum class Scenario { default_, partition, normal, fault };

std::optional<Scenario> scenario_named(std::string_view name);

struct Workload {
    std::uint64_t seed;
    std::uint32_t ops;  // the formats count in 32 bits
    std::uint64_t keys;
    Scenario scenario;
};

// The bytes that the workload leaves behind. Throws if replicas end up different.
Bytes run(const Workload& workload);

}  // namespace dkv
