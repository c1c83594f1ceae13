import tensorflow as tf

from pipelines.shards import ShardWriter


def test_a_shard_is_as_large_as_it_may_be_and_a_larger_record_stands_alone(tmp_path):
    writer = ShardWriter(tmp_path, "set-train", shard_bytes=350)
    records = [bytes([place]) * 84 for place in range(7)] + [bytes(400), b"last"]  # 84 bytes and 16 of TFRecord's own
    for record in records:
        writer.write(record)
    shards = writer.close()
    assert [(shard.examples, shard.bytes) for shard in shards] == [(3, 300), (3, 300), (1, 100), (1, 416), (1, 20)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [shard.file for shard in shards]
    assert shards[4].file == "set-train.tfrecord-00004-of-00005" and writer.record_bytes == sum(map(len, records))
    files = [str(tmp_path / shard.file) for shard in shards]
    assert [record.numpy() for record in tf.data.TFRecordDataset(files)] == records
