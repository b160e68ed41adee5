// The two byte formats. Integers are little-endian, and nothing stands between the fields.
#pragma once

#include "cluster.hpp"

#include <cstdint>
#include <string>

namespace dkv {

using Bytes = std::string;

using StringCluster = Cluster<Bytes, Bytes>;                  // of five replicas in the exams
using IntegerCluster = Cluster<std::int64_t, std::int64_t>;  // of three nodes

// DSEDKV20: the store of one replica and how far it has come.
Bytes snapshot(const StringCluster::Member& replica);

// DSEDIST2: one node with its whole log, committed or not, and its store.
Bytes snapshot(std::uint8_t id, const IntegerCluster::Member& node);

// The answers of the exams: the leader's snapshot, which must be everyone's (std::runtime_error if it is
// not), and the snapshots of all nodes one after the other.
Bytes answer(const StringCluster& cluster);
Bytes answer(const IntegerCluster& cluster);

// In lowercase hexadecimal digits.
std::string sha256(const Bytes& bytes);

}  // namespace dkv
