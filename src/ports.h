/* The core's orders, to those who carry them out. */
#pragma once

#include "core/core.h"

struct core_ports ports_to(struct engine *engine, struct mover *mover, struct runner *runner);
