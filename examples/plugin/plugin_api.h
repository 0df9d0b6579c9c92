/* What the host and its plugins agree on; included by both sides. */
#pragma once

#ifdef __cplusplus
#include <cstdint>
using std::uint32_t;
#else
typedef unsigned int uint32_t;
#endif

/* One order, as plugins see it. They may change `discount_percent`. */
struct order {
    uint32_t customer;
    uint32_t item;
    uint32_t quantity;
    uint32_t price_cents;
    uint32_t discount_percent;
};

/* What a plugin returns. */
enum verdict { ORDER_REFUSE = 0, ORDER_ACCEPT = 1 };
