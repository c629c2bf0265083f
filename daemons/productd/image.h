/*
 * What an uploaded file is, told from its bytes alone, before anything
 * decodes it.
 */
#ifndef PRODUCTD_IMAGE_H
#define PRODUCTD_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#define PRODUCTD_IMAGE_SIDE 10000

enum productd_image_result {
    PRODUCTD_IMAGE_OK,
    PRODUCTD_IMAGE_TYPE,    /* none of the three */
    PRODUCTD_IMAGE_DAMAGED, /* cut off, or its parts do not fit */
    PRODUCTD_IMAGE_SIZE     /* no pixels, or a side beyond the bound */
};

struct productd_image_facts {
    const char *type; /* png, jpg, webp */
    int64_t width, height;
};

/*
 * PNG is walked chunk by chunk to its end, JPEG to the frame's header and on
 * to its end mark, WebP by the sizes of its container.
 */
enum productd_image_result
productd_image_look(const void *data, size_t len,
                    struct productd_image_facts *facts);

/*
 * Puts the bytes under <directory>/<hash>.<type>: a temporary name, fsync,
 * rename. hash is set to 64 hex digits. 0, or -1 after logging.
 */
int productd_image_store(const char *directory, const void *data, size_t len,
                         const char *type, char hash[65]);

#endif
