#include "model/hold.h"

#define FORGET 0.8 /* of the peak, per sample */

void hold_init(struct hold *h)
{
	*h = (struct hold){ .window = HOLD_FREE };
}

void hold_moved(struct hold *h, uint64_t bytes)
{
	h->settling -= bytes < h->settling ? bytes : h->settling;
}

void hold_sample(struct hold *h, uint64_t bytes, int64_t passed)
{
	h->rate = (double)bytes * NSEC_PER_SEC / (double)passed;
	h->peak = h->rate > h->peak * FORGET ? h->rate : h->peak * FORGET;
}

static void set_window(struct hold *h, double window)
{
	if (window > (double)HOLD_CEILING)
		h->window = HOLD_FREE;
	else
		h->window = window > (double)HOLD_FLOOR ? (uint64_t)window : HOLD_FLOOR;
}

/* Small changes of what is on its way are not followed. */
static void leave_spare(struct hold *h, double in_flight)
{
	double window = HOLD_SPARE * in_flight, min = (double)HOLD_SPARE_MIN;

	window = window > min ? window : min;
	if (in_flight > 0 && (h->held || window > (double)h->window || window < (double)h->window / 2))
		set_window(h, window);
	h->held = false;
	h->settling = 0;
}

void hold_step(struct hold *h, double factor, uint32_t rtt_us, uint64_t offered)
{
	double in_flight = h->rate * rtt_us / 1e6, window = h->held ? (double)h->window : in_flight;

	if (factor == 0 || in_flight == 0) {
		leave_spare(h, h->peak * rtt_us / 1e6);
		return;
	}
	if (!h->held || factor < 1) {
		if (h->held && h->settling)
			return;
		set_window(h, (window < in_flight ? window : in_flight) * factor);
		h->settling = offered > h->window ? offered : h->window;
	} else if (window < 2 * in_flight) {
		set_window(h, window * factor);
	}
	h->held = true;
}
