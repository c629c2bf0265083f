/* What the files of Kafka share. */
#ifndef SPEEDY_KAFKA_PRIVATE_H
#define SPEEDY_KAFKA_PRIVATE_H

#include <librdkafka/rdkafka.h>

#define SPEEDY_KAFKA_CLOSE_MS 5000

/* Brokers, the client's name, `own` (ended by NULL), and speedy.conf's own
 * `kafka.*` on top. NULL after logging. */
rd_kafka_conf_t *speedy_kafka_conf_new(const char *client_id,
                                       const char *const (*own)[2]);
/* Takes conf over. NULL after logging. */
rd_kafka_t *speedy_kafka_handle_new(rd_kafka_type_t type,
                                    rd_kafka_conf_t *conf);

#endif
