#include "jit/opt/allocate.hpp"

#include "jit/opt/lifetimes.hpp"
#include "jit/opt/linear_scan.hpp"
#include "jit/opt/resolve.hpp"

namespace ebpfvm::jit::opt {

Place Allocation::place_in(const Vec<Piece>& pieces, Position at) {
    for (const Piece& piece : pieces) {
        if (at < piece.end) {
            return piece.place;
        }
    }
    return pieces.back().place;
}

Allocation allocate(const Function& fn, const Cpu& cpu) {
    Allocation out;
    Lifetimes lifetimes = find_lifetimes(fn, cpu, out);
    scan(fn, lifetimes, out);
    resolve(fn, lifetimes, out);
    return out;
}

} // namespace ebpfvm::jit::opt
