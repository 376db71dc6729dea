/* The scribe: a thread that writes whole small files, while the workers fetch the next ones.
 *
 * To make a file costs as much as to fetch 4 KiB: of ten thousand of them a third of a worker's time. So a
 * worker opens no blob for a small file. It gathers the bytes, and when they are all there it gives them
 * away with the transfer's last report; the scribe writes them and passes the report on. If it cannot, the
 * report says why, and that nothing is there. Larger files are written by the worker itself: the bytes
 * are in its processor's cache, and to carry them over costs more than it gains.
 *
 *	scribe_start; scribe_send ...; scribe_stop, after the workers
 */
#pragma once

#include "net/engine.h"

#define SCRIBE_FILE_MAX (64u << 10) /* files up to here */

struct scribe;

int scribe_start(struct blobs *blobs, struct mailbox *reports, struct scribe **ret);
/* Any thread; takes a list of reports (mailbox_send_all), each with something unwritten. */
void scribe_send(struct scribe *s, struct mail *reports);
/* The disk is slower than the network: who has more to write should do it himself, by scribe_write. */
bool scribe_is_behind(struct scribe *s);
/* Writes what R brings along. The caller sends R then. */
void scribe_write(struct blobs *blobs, struct report *r);
void scribe_stop(struct scribe *s); /* all that was sent has been written and passed on */
