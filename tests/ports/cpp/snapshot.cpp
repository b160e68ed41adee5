#include "snapshot.hpp"

#include <openssl/evp.h>

#include <array>
#include <concepts>
#include <stdexcept>

namespace dkv {
namespace {

// The width of a field is the width of the type named at the call.
template <std::unsigned_integral Unsigned>
void write(Bytes& out, Unsigned value) {
    for (std::size_t byte = 0; byte < sizeof value; ++byte) {
        out.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * byte) & 0xFF));
    }
}

void write_signed(Bytes& out, std::int64_t value) { write(out, static_cast<std::uint64_t>(value)); }

void write_count(Bytes& out, std::size_t count) {
    if (count > UINT32_MAX) throw std::length_error("a count does not fit the 32 bits of its field");
    write(out, static_cast<std::uint32_t>(count));
}

void write_bytes(Bytes& out, const Bytes& bytes) {
    write_count(out, bytes.size());
    out += bytes;
}

}  // namespace

Bytes snapshot(const StringCluster::Member& replica) {
    Bytes out = "DSEDKV20";
    write(out, replica.commit_index());
    write(out, replica.current_term());
    write_count(out, replica.store().size());
    for (const auto& [key, value] : replica.store()) {
        write_bytes(out, key);
        write_bytes(out, value);
    }
    return out;
}

Bytes snapshot(std::uint8_t id, const IntegerCluster::Member& node) {
    Bytes out = "DSEDIST2";
    write(out, id);
    write(out, node.current_term());
    write(out, node.commit_index());
    write_count(out, node.log().size());
    for (const auto& [term, index, command] : node.log()) {
        if (command.kind == Kind::noop) throw std::logic_error("DSEDIST2 has no number for a no-op");
        write(out, term);
        write(out, index);
        write(out, static_cast<std::uint8_t>(command.kind));
        write_signed(out, command.key);
        write_signed(out, command.value);
    }
    write_count(out, node.store().size());
    for (const auto& [key, value] : node.store()) {
        write_signed(out, key);
        write_signed(out, value);
    }
    return out;
}

Bytes answer(const StringCluster& cluster) {
    const Bytes expected = snapshot(cluster.leader());
    for (std::size_t id = 1; id < cluster.size(); ++id) {
        if (snapshot(cluster.replica(id)) != expected) {
            const auto who = "replica " + std::to_string(id);
            throw std::runtime_error("the snapshot of " + who + " differs from the leader's");
        }
    }
    return expected;
}

Bytes answer(const IntegerCluster& cluster) {
    Bytes out;
    for (std::size_t id = 0; id < cluster.size(); ++id) {
        out += snapshot(static_cast<std::uint8_t>(id), cluster.replica(id));
    }
    return out;
}

std::string sha256(const Bytes& bytes) {
    std::array<unsigned char, 32> digest{};
    if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1) {
        throw std::runtime_error("libcrypto could not compute SHA-256");
    }
    std::string hex;
    for (const unsigned byte : digest) {
        hex += "0123456789abcdef"[byte >> 4];
        hex += "0123456789abcdef"[byte & 15];
    }
    return hex;
}

}  // namespace dkv
