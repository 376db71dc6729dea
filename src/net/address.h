/* Which addresses a file may be fetched from when deny_private_addresses is set: not the machine's
 * own, nor its network's, nor the metadata services of clouds (SSRF). RFC 6890, RFC 4193, RFC 6598. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

bool address_is_private(const struct sockaddr *sa); /* unknown families are */
bool address_text_is_private(const char *text);     /* numeric, as CURLINFO_PRIMARY_IP */
