from models.imagenet import imagenet_classes


def test_the_classes_stand_in_the_order_of_the_networks_outputs_and_differ():
    classes = imagenet_classes()
    assert len(classes) == len(set(classes)) == 1000
    # As decode_predictions of keras.applications and the model cards of torchvision number them.
    known = {0: "tench", 1: "goldfish", 207: "golden_retriever", 281: "tabby", 340: "zebra", 388: "giant_panda"}
    known |= {134: "crane_bird", 517: "crane", 638: "maillot", 639: "maillot_tank_suit", 999: "toilet_tissue"}
    assert {place: classes[place] for place in known} == known
