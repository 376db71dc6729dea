#include "model/service.h"

const char *const network_words[NETWORK_MAX + 1] = {
	[NETWORK_UNRESTRICTED] = "unrestricted",
	[NETWORK_METERED] = "metered",
	[NETWORK_OFFLINE] = "offline",
};

const double latency_bounds[LATENCY_BUCKETS - 1] = { 0.01, 0.1, 1, 10, 60, 600, 3600 };
