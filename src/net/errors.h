/* libcurl's and the kernel's errors as outcomes: the one place that knows CURLcode. */
#pragma once

#include "model/retry.h"

#include <curl/curl.h>

enum outcome outcome_of_curl(CURLcode code);
enum outcome outcome_of_errno(int err); /* of the staging area; positive or negative */
